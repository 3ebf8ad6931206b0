package chat

import "github.com/google/uuid"

const (
	batchLength = 500     // posts in one statement
	batchBytes  = 1 << 20 // bodies in one statement
)

// batch is what one statement stores.
type batch struct {
	posts []pending
	ids   map[uuid.UUID]struct{}
	bytes int // of bodies
}

// begin makes it empty. What it had stays with whoever has it.
func (b *batch) begin() {
	if b.ids == nil {
		b.ids = make(map[uuid.UUID]struct{}, batchLength)
	}
	b.posts, b.bytes = make([]pending, 0, 16), 0
	clear(b.ids)
}

// add reports whether the post can be stored with the others; the first one always can. What has files is stored alone.
func (b *batch) add(p pending) bool {
	if len(b.posts) > 0 {
		_, twice := b.ids[p.ID]
		if twice || len(b.posts) == batchLength || b.bytes+len(p.Body) > batchBytes || len(p.Files) > 0 || len(b.posts[0].Files) > 0 {
			return false
		}
	}
	b.posts, b.bytes = append(b.posts, p), b.bytes+len(p.Body)
	b.ids[p.ID] = struct{}{}
	return true
}
