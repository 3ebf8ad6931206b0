package main_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is one person's Chromium, with cookies of its own. A missing Chromium is a failure.
type browser struct {
	ctx context.Context
	t   *testing.T
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-background-networking", true),
		chromedp.WindowSize(1280, 800)), chromedp.WithListener(func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw: %+v", e.ExceptionDetails)
		case *log.EventEntryAdded:
			if e.Entry.Source == log.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") {
				t.Errorf("the page broke the policy: %s", e.Entry.Text)
			}
		}
	}))
	b := &browser{ctx: ctx, t: t}
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx)
		closeTab()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start Chromium (apt-get install chromium): %v", err)
	}
	// Of several pages each is in front, for its own person.
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return chromedp.Void{}, err
	})
	return b
}

// front says whether the person looks at the page.
func (b *browser) front(is bool) {
	b.t.Helper()
	b.until(`(() => { document.hasFocus = () => %v; dispatchEvent(new Event(%v ? "focus" : "blur")); return true; })()`, is, is)
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// until waits until the JavaScript expression is true in the page. It asks from here: in a page whose scripts are off nothing would
// ask again.
func (b *browser) until(format string, args ...any) {
	b.t.Helper()
	expression := fmt.Sprintf(format, args...)
	ctx, cancel := context.WithTimeout(b.ctx, 45*time.Second)
	defer cancel()
	for again := time.NewTicker(20 * time.Millisecond); ; {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")", func(p *runtime.EvaluateParams) { p.UserGesture = new(true) }))
		if is {
			again.Stop()
			return
		}
		// What throws is not true yet: a page that has just come may lack what is asked for, or another one came meanwhile.
		var thrown *chromedp.ExceptionError
		if err == nil || errors.As(err, &thrown) || strings.Contains(err.Error(), "(-32000)") {
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
				err = cmp.Or(err, ctx.Err())
			}
		}
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`[document.title, document.body.innerText, "in front: " + document.activeElement.outerHTML.slice(0, 200),
			"is typed: " + document.querySelector("#body")?.value].join("\n")`))
		b.t.Fatalf("%s was not to be (%v); the page is:\n%s", expression, err, text)
	}
}

func (b *browser) signUp(address, name string) {
	b.t.Helper()
	b.enter(address+"/sign-up", name, "correct horse battery")
}

// enter fills in the form at the address, and waits for the room that comes.
func (b *browser) enter(address, name, password string) {
	b.t.Helper()
	b.do(
		chromedp.Navigate(address),
		chromedp.SendKeys(chromedp.CSS("#name"), name),
		chromedp.SendKeys(chromedp.CSS("#password"), password),
		chromedp.Submit(chromedp.CSS("#password")),
		chromedp.WaitVisible(chromedp.CSS("#room")),
	)
	b.until(`document.querySelector("#state.live")`)
}

// say types the message and presses Enter.
func (b *browser) say(text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS("#body"), text+"\r"))
}

func (b *browser) sees(text string) {
	b.t.Helper()
	b.until(`[...document.querySelectorAll("#messages .body")].some((p) => p.textContent === %q)`, text)
}

// screenshot keeps a picture in the folder that PGCHAT_SCREENSHOTS names, light and dark, wide and narrow.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("PGCHAT_SCREENSHOTS")
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		b.t.Fatal(err)
	}
	for _, width := range []int64{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			b.do(chromedp.EmulateViewport(width, 800), func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
				_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					// Without motion nothing is caught half-way from one scheme to the other.
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
				})
				return chromedp.Void{}, err
			})
			png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			if err != nil {
				b.t.Fatal(err)
			}
			path := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
			if err := os.WriteFile(path, png, 0o600); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.do(chromedp.EmulateViewport(1280, 800))
}
