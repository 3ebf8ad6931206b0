package chat

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/alexedwards/argon2id"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
)

// decoy is the hash of a password that nobody knows: who signs in under an unknown name waits as long as under a known.
const decoy = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$kBvcTIkJ7bwrlGTWt6ZWbs7G9RjYwHYtFr8eDYL4r5I"

// People makes accounts and tells who somebody is.
type People struct {
	pool       *pgxpool.Pool
	queries    *store.Queries
	signupOpen bool
	params     *argon2id.Params
	hashing    chan struct{} // hashes at one time, since each takes memory
}

// NewPeople keeps accounts through pool. With signupOpen false, accounts are made by Create only.
func NewPeople(pool *pgxpool.Pool, signupOpen bool) *People {
	return &People{
		pool: pool, queries: store.New(pool), signupOpen: signupOpen,
		// OWASP's recommendation for argon2id: 19 MiB, 2 iterations, 1 thread.
		params:  &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32},
		hashing: make(chan struct{}, max(2, runtime.NumCPU())),
	}
}

// SignupOpen reports whether everybody may make an account.
func (p *People) SignupOpen() bool { return p.signupOpen }

// Empty reports whether nobody has an account that can sign in: the next to sign up becomes administrator.
func (p *People) Empty(ctx context.Context) (bool, error) {
	anybody, err := p.queries.AnyUser(ctx)
	if err != nil {
		return false, fmt.Errorf("look for the first account: %w", err)
	}
	return !anybody, nil
}

// SignUp makes an account. The first one is an administrator's. The error may be an [Error] of code Invalid or Taken,
// about the field "name" or "password", or Forbidden while sign-up is closed.
func (p *People) SignUp(ctx context.Context, name, password string) (User, error) {
	if !p.signupOpen {
		return User{}, Errorf(Forbidden, "Sign-up is closed. Ask an administrator for an account.")
	}
	return p.Create(ctx, name, password, RoleMember)
}

// Create makes an account with a role; the first account is an administrator's whatever the role.
func (p *People) Create(ctx context.Context, name, password, role string) (User, error) {
	name, err := checkUserName(name)
	if err := errors.Join(err, checkPassword(password)); err != nil {
		return User{}, err
	}
	hash, err := p.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	var user User
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		q := p.queries.WithTx(tx)
		if err := q.LockFirstUser(ctx); err != nil {
			return err
		}
		anybody, err := q.AnyUser(ctx)
		if err != nil {
			return err
		}
		if !anybody {
			role = RoleAdmin
		}
		row, err := q.AddUser(ctx, store.AddUserParams{Name: name, Role: role, PasswordHash: &hash})
		user = User(row)
		return err
	})
	if constraint(err) == "users_name_key" {
		return User{}, &Error{Code: Taken, Field: "name", Message: fmt.Sprintf("The name %s is taken. Choose another one.", name)}
	}
	if err != nil {
		return User{}, fmt.Errorf("make the account %s: %w", name, err)
	}
	return user, nil
}

// SignIn returns the user with this name and password. The error is an [Error] of code Unauthenticated, the same for an
// unknown name and a wrong password, or of code Banned.
func (p *People) SignIn(ctx context.Context, name, password string) (User, error) {
	refused := Errorf(Unauthenticated, "Name and password do not match. Check both and try again.")
	name, err := checkUserName(name)
	if err := errors.Join(err, checkPassword(password)); err != nil {
		return User{}, refused
	}
	row, err := p.queries.UserByName(ctx, name)
	known := err == nil && row.PasswordHash != ""
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return User{}, fmt.Errorf("sign in %s: %w", name, err)
	}
	hash := row.PasswordHash
	if !known {
		hash = decoy
	}
	if err := p.mayHash(ctx); err != nil {
		return User{}, err
	}
	matches, err := argon2id.ComparePasswordAndHash(password, hash)
	<-p.hashing
	if err != nil {
		return User{}, fmt.Errorf("check the password of %s: %w", name, err)
	}
	if !matches || !known {
		return User{}, refused
	}
	if err := refusal(ctx, p.queries, store.BanFromParams{UserID: row.ID}); err != nil {
		return User{}, err
	}
	return User{ID: row.ID, Name: row.Name, Role: row.Role, CreatedAt: row.CreatedAt}, nil
}

// SetPassword gives the user another password and ends all their sessions.
func (p *People) SetPassword(ctx context.Context, name, password string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	hash, err := p.hash(ctx, password)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		q := p.queries.WithTx(tx)
		id, err := q.SetUserPassword(ctx, store.SetUserPasswordParams{Name: name, PasswordHash: hash})
		if err != nil {
			return err
		}
		return q.EndSessionsOf(ctx, id)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return Errorf(NotFound, "There is no user %q.", name)
	}
	if err != nil {
		return fmt.Errorf("set the password of %s: %w", name, err)
	}
	return nil
}

// Promote makes the user an administrator.
func (p *People) Promote(ctx context.Context, name string) error {
	n, err := p.queries.PromoteUser(ctx, name)
	if err != nil {
		return fmt.Errorf("promote %s: %w", name, err)
	}
	if n == 0 {
		return Errorf(NotFound, "There is no user %q.", name)
	}
	return nil
}

func (p *People) hash(ctx context.Context, password string) (string, error) {
	if err := p.mayHash(ctx); err != nil {
		return "", err
	}
	defer func() { <-p.hashing }()
	hash, err := argon2id.CreateHash(password, p.params)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

func (p *People) mayHash(ctx context.Context) error {
	select {
	case p.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

// constraint returns the name of the unique constraint that err says was violated, or "".
func constraint(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" {
		return pg.ConstraintName
	}
	return ""
}
