package main_test

import (
	"context"
	"testing"

	permissions "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// allows says yes or no to what pages ask the browser for.
func (b *browser) allows(setting permissions.PermissionSetting, names ...string) {
	b.t.Helper()
	for _, name := range names {
		b.call(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, permissions.SetPermission, permissions.SetPermissionParams{Permission: &permissions.PermissionDescriptor{Name: name}, Setting: setting})
			return err
		})
	}
}

// tool uses a tool of a message in one go: meanwhile the browser may say that the pointer, where it was left, is over another one.
func (b *browser) tool(seq int, button string) {
	b.t.Helper()
	b.until(`(() => {
		const m = document.querySelector('#messages [data-seq="%d"]'), tools = document.querySelector("#tools");
		document.activeElement.blur();
		m.tabIndex = -1;
		m.focus();
		if (tools.parentNode !== m) return false;
		document.querySelector("#toast").replaceChildren();
		tools.querySelector(%q).click();
		return true;
	})()`, seq, button)
}

func TestWhatIsCopiedIsWhatWasTyped(t *testing.T) {
	site, db := one(t)
	b := openBrowser(t)
	b.signUp(site.address, "ada")
	b.allows(permissions.PermissionSettingGranted, "clipboard-read", "clipboard-write")
	const source = "Look at **this**:\n\n- one `code`\n- [two](https://example.com/)"
	exec(t, db, `select chat.post('general', 'ada', $1), chat.post('general', 'ada', 'plain')`, source)
	b.sees("plain")
	copied := func(seq int, button, told, want string) {
		t.Helper()
		b.tool(seq, button)
		b.until(`document.querySelector("#toast").textContent === %q`, told)
		if got := evaluated[string](b, `navigator.clipboard.readText()`); got != want {
			t.Errorf("%s of message %d copied %q, want %q", button, seq, got, want)
		}
	}
	copied(1, ".copy", "Copied.", source)
	copied(2, ".copy", "Copied.", "plain")
	copied(2, ".copy-link", "The link is copied.", site.address+"/rooms/general?at=2")

	// Where the browser does not let it, the page says what to do.
	b.allows(permissions.PermissionSettingDenied, "clipboard-write")
	b.tool(1, ".copy")
	b.until(`document.querySelector("#toast").textContent.includes("Select it instead")`)
}
