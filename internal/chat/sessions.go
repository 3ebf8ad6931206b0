package chat

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// SessionLife is how long a session lasts after it was last used.
const SessionLife = 30 * 24 * time.Hour

const (
	renewAfter   = 24 * time.Hour // a session that is used is extended once a day, not at every request
	maxUserAgent = 250
)

// Sessions are the signed-in browsers. They are rows that a DBA can read and delete; the token is stored hashed.
type Sessions struct{ queries *store.Queries }

// NewSessions keeps sessions through pool.
func NewSessions(pool *pgxpool.Pool) *Sessions { return &Sessions{queries: store.New(pool)} }

// Start makes a session and returns the token that proves it.
func (s *Sessions) Start(ctx context.Context, userID uuid.UUID, userAgent string) (token string, expires time.Time, err error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	token, expires = base64.RawURLEncoding.EncodeToString(secret), time.Now().Add(SessionLife)
	userAgent = strings.ReplaceAll(strings.ToValidUTF8(userAgent, "?"), "\x00", "?")
	if runes := []rune(userAgent); len(runes) > maxUserAgent {
		userAgent = string(runes[:maxUserAgent])
	}
	err = s.queries.AddSession(ctx, store.AddSessionParams{TokenHash: tokenHash(token), UserID: userID, ExpiresAt: expires, UserAgent: userAgent})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("start a session: %w", err)
	}
	return token, expires, nil
}

// User returns whose session the token proves. Now and then it extends the session: then extended is its new end, else
// zero. The error is an [Error] of code Unauthenticated where there is none or it has expired, or of code Banned.
func (s *Sessions) User(ctx context.Context, token string) (user User, extended time.Time, err error) {
	row, err := s.queries.SessionUser(ctx, tokenHash(token))
	if errors.Is(err, pgx.ErrNoRows) {
		return User{}, time.Time{}, Errorf(Unauthenticated, "You are not signed in.")
	}
	if err != nil {
		return User{}, time.Time{}, fmt.Errorf("look up a session: %w", err)
	}
	if row.Banned {
		return User{}, time.Time{}, refusalOf(ctx, s.queries, row.ID, nil)
	}
	if time.Until(row.ExpiresAt) < SessionLife-renewAfter {
		extended = time.Now().Add(SessionLife)
		if s.queries.ExtendSession(ctx, store.ExtendSessionParams{TokenHash: tokenHash(token), ExpiresAt: extended}) != nil {
			// A read-only database or a full disk keeps nobody from reading; the next request tries again.
			extended = time.Time{}
		}
	}
	return User{ID: row.ID, Name: row.Name, Role: row.Role, CreatedAt: row.CreatedAt}, extended, nil
}

// End ends the session; one that is not there is no error.
func (s *Sessions) End(ctx context.Context, token string) error {
	if err := s.queries.EndSession(ctx, tokenHash(token)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// Ended returns those of the tokens that prove no session any more.
func (s *Sessions) Ended(ctx context.Context, tokens []string) ([]string, error) {
	return ended(ctx, tokens, s.queries.StandingSessions)
}

// ended returns those of the secrets whose hash is not among those that stand.
func ended(ctx context.Context, secrets []string, standing func(context.Context, [][]byte) ([][]byte, error)) ([]string, error) {
	byHash := make(map[string]string, len(secrets))
	hashes := make([][]byte, len(secrets))
	for i, secret := range secrets {
		hashes[i] = tokenHash(secret)
		byHash[string(hashes[i])] = secret
	}
	left, err := standing(ctx, hashes)
	if err != nil {
		return nil, fmt.Errorf("check %d sessions or tokens: %w", len(secrets), err)
	}
	for _, hash := range left {
		delete(byHash, string(hash))
	}
	return slices.Collect(maps.Values(byHash)), nil
}

// Sweep removes expired sessions and returns how many there were.
func (s *Sessions) Sweep(ctx context.Context) (int64, error) {
	n, err := s.queries.SweepSessions(ctx)
	if err != nil {
		return 0, fmt.Errorf("sweep sessions: %w", err)
	}
	return n, nil
}

func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
