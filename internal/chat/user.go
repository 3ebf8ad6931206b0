package chat

import (
	"time"

	"github.com/google/uuid"
)

// Roles that a user may have.
const (
	RoleMember = "member"
	RoleAdmin  = "admin"
)

// User is somebody with an account.
type User struct {
	ID        uuid.UUID
	Name      string
	Role      string // RoleMember or RoleAdmin
	CreatedAt time.Time
}

// Admin reports whether the user may administer the chat.
func (u User) Admin() bool { return u.Role == RoleAdmin }
