package chat_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/pgtest"
)

func code(err error) chat.Code {
	var e *chat.Error
	errors.As(err, &e)
	if e == nil {
		return ""
	}
	return e.Code
}

func TestTokensProveTheirUserUntilTheyExpireOrAreRevoked(t *testing.T) {
	pool, ctx := pgtest.Pool(t), t.Context()
	tokens := chat.NewTokens(pool)
	if _, err := pool.Exec(ctx, `insert into chat.users (name) values ('ada')`); err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	lasting, err1 := tokens.Create(ctx, "ADA", "deploys", nil)
	short, err2 := tokens.Create(ctx, "ada", "trial", &soon)
	if err := errors.Join(err1, err2); err != nil || !strings.HasPrefix(lasting, "pgchat_") || len(lasting) != 50 {
		t.Fatalf("%q, error %v", lasting, err)
	}
	for name, want := range map[string]chat.Code{"deploys": chat.Taken, "": chat.Invalid, strings.Repeat("x", 81): chat.Invalid, "a\nb": chat.Invalid} {
		if _, err := tokens.Create(ctx, "ada", name, nil); code(err) != want {
			t.Errorf("name %q: got %v, want %s", name, err, want)
		}
	}
	past := time.Now().Add(-time.Hour)
	if _, err := tokens.Create(ctx, "ada", "late", &past); code(err) != chat.Invalid {
		t.Errorf("expired from the start: got %v", err)
	}
	if _, err := tokens.Create(ctx, "nobody", "x", nil); code(err) != chat.NotFound {
		t.Errorf("unknown user: got %v", err)
	}
	for _, secret := range []string{lasting, short} {
		if u, err := tokens.User(ctx, secret); err != nil || u.Name != "ada" {
			t.Errorf("got %+v, error %v", u, err)
		}
	}
	list, err := tokens.List(ctx, "ada")
	if err != nil || len(list) != 2 || list[0].ExpiresAt != nil || list[1].ExpiresAt == nil || list[0].LastUsedAt == nil {
		t.Errorf("got %+v, error %v", list, err)
	}
	if _, err := pool.Exec(ctx, `update chat.tokens set expires_at = now() where name = 'trial'`); err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.User(ctx, short); code(err) != chat.Unauthenticated {
		t.Errorf("an expired token: got %v", err)
	}
	if ended, err := tokens.Ended(ctx, []string{lasting, short, "nonsense"}); err != nil || len(ended) != 2 {
		t.Errorf("ended: %d, error %v; want 2", len(ended), err)
	}
	if err := tokens.Revoke(ctx, "ada", "deploys"); err != nil {
		t.Error(err)
	}
	if err := tokens.Revoke(ctx, "ada", "deploys"); code(err) != chat.NotFound {
		t.Errorf("revoked twice: got %v", err)
	}
	if _, err := tokens.User(ctx, lasting); code(err) != chat.Unauthenticated {
		t.Errorf("a revoked token: got %v", err)
	}
}
