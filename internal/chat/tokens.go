package chat

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// MaxTokenName is the longest name of a token, in characters.
const MaxTokenName = 80

// Token is a personal access token, as its owner sees it: the secret is shown once and stored nowhere.
type Token struct {
	User, Name string
	CreatedAt  time.Time
	LastUsedAt *time.Time // to the minute; nil: never
	ExpiresAt  *time.Time // nil: never
}

// Tokens are the personal access tokens, by which programs act as a user.
type Tokens struct{ queries *store.Queries }

// NewTokens keeps tokens through pool.
func NewTokens(pool *pgxpool.Pool) *Tokens { return &Tokens{queries: store.New(pool)} }

// Create makes a token for the user, which counts until expires (nil: for ever), and returns its secret. The error may be
// an [Error] of code Invalid or Taken, about the field "name", or NotFound.
func (t *Tokens) Create(ctx context.Context, user, name string, expires *time.Time) (secret string, err error) {
	name, err = checkLine("name", "token name", name, MaxTokenName)
	if err == nil && name == "" {
		err = wrong("name", "A token needs a name that says what it is for.")
	}
	if err == nil && expires != nil && expires.Before(time.Now()) {
		err = wrong("expires", "A token cannot expire before it is made.")
	}
	if err != nil {
		return "", err
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	secret = "pgchat_" + base64.RawURLEncoding.EncodeToString(random)
	_, err = t.queries.AddToken(ctx, store.AddTokenParams{UserName: user, Name: name, TokenHash: tokenHash(secret), ExpiresAt: expires})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", Errorf(NotFound, "There is no user %q.", user)
	case constraint(err) == "tokens_name_key":
		return "", &Error{Code: Taken, Field: "name", Message: fmt.Sprintf("%s has a token called %q. Revoke that one, or choose another name.", user, name)}
	case err != nil:
		return "", fmt.Errorf("make a token for %s: %w", user, err)
	}
	return secret, nil
}

// List returns the user's tokens, or everybody's where user is "".
func (t *Tokens) List(ctx context.Context, user string) ([]Token, error) {
	rows, err := t.queries.Tokens(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("list the tokens: %w", err)
	}
	list := make([]Token, 0, len(rows))
	for _, r := range rows {
		list = append(list, Token{User: r.UserName, Name: r.Name, CreatedAt: r.CreatedAt, LastUsedAt: r.LastUsedAt, ExpiresAt: r.ExpiresAt})
	}
	return list, nil
}

// Revoke ends a token. The error may be an [Error] of code NotFound.
func (t *Tokens) Revoke(ctx context.Context, user, name string) error {
	n, err := t.queries.RevokeToken(ctx, store.RevokeTokenParams{UserName: user, Name: name})
	if err != nil {
		return fmt.Errorf("revoke a token of %s: %w", user, err)
	}
	if n == 0 {
		return Errorf(NotFound, "%s has no token called %q.", user, name)
	}
	return nil
}

// User returns as whom the bearer of the secret acts. The error is an [Error] of code Unauthenticated where there is no
// such token or it has expired, or of code Banned.
func (t *Tokens) User(ctx context.Context, secret string) (User, error) {
	row, err := t.queries.TokenUser(ctx, tokenHash(secret))
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, Errorf(Unauthenticated, "The token is unknown, revoked or has expired.")
	}
	if err == nil && row.Banned {
		return User{}, refusalOf(ctx, t.queries, row.ID, nil)
	}
	if err == nil && row.Touch {
		// A read-only database or a full disk keeps nobody from reading; the next use tries again.
		_ = t.queries.TouchToken(ctx, tokenHash(secret))
	}
	if err != nil {
		return User{}, fmt.Errorf("look up a token: %w", err)
	}
	return User{ID: row.ID, Name: row.Name, Role: row.Role, CreatedAt: row.CreatedAt}, nil
}

// Ended returns those of the secrets that are of no use any more.
func (t *Tokens) Ended(ctx context.Context, secrets []string) ([]string, error) {
	return ended(ctx, secrets, t.queries.StandingTokens)
}
