package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgchat/pgchat/internal/store"
	"github.com/pgchat/pgchat/internal/thumbnail"
)

const (
	// MaxFiles is how many files a message has at most.
	MaxFiles = 10
	// maxFileName is the longest name of a file, in bytes.
	maxFileName = 255
	// chunkSize is how many bytes are in memory of a file that comes or goes. Files that are stored have it: it stays.
	chunkSize = 128 << 10

	// A file of so many pieces has the garbage collector run once. After something large, such as the hashing of a password, it lets
	// as much pile up before it runs by itself, and what was used for the pieces would be 30 MB of that.
	collectAfter = 8

	touchEvery = time.Minute
	// What nobody will ever see is swept: uploads that have not gone on for so long, files that were not posted for so long, and
	// those of messages that were deleted so long ago, since a message may be brought back.
	uploadFor, unpostedFor, deletedFor = 10 * time.Minute, 24 * time.Hour, time.Hour

	trimAfter    = 4_000_000        // pixels: what it took to decode so many is given back to the system
	decodeWithin = 20 * time.Second // an image waits for those before it; longer, and it has no thumbnail
)

// File is a file of a message, or one that waits to be posted.
type File struct {
	ID     uuid.UUID `json:"id"`
	Name   string    `json:"name"`
	Type   string    `json:"type"` // content type, as found in its first bytes
	Size   int64     `json:"size"` // bytes
	Width  int       `json:"width,omitempty"`
	Height int       `json:"height,omitempty"` // of an image that has a thumbnail: pixels; else 0
}

// FileLimits are the most bytes that a file and all files together may have.
type FileLimits struct{ Each, InAll int64 }

// Files stores what people upload, in the database, and reads it from there, in pieces: of a file that comes or goes only one
// piece is in memory.
type Files struct {
	queries  *store.Queries
	limits   FileLimits
	decoding chan struct{} // holds a token while an image is decoded: one at a time, since each takes memory
}

// NewFiles reads and writes through pool.
func NewFiles(pool *pgxpool.Pool, limits FileLimits) *Files {
	return &Files{queries: store.New(pool), limits: limits, decoding: make(chan struct{}, 1)}
}

// Limit is how many bytes a file may have.
func (f *Files) Limit() int64 { return f.limits.Each }

// Receive stores a file that the user uploads to the room, under a name that [FileName] returned; most is the most bytes that
// may come, below 0: not known. It does not show until it is posted. Where it fails nothing is left behind. The error may be an
// [Error] of code Forbidden or TooLarge, or one of content's.
func (f *Files) Receive(ctx context.Context, user User, room Room, name string, content io.Reader, most int64) (File, error) {
	switch {
	case room.Archived:
		return File{}, Errorf(Forbidden, "This room is archived: nothing can be posted.")
	case !room.Member:
		return File{}, Errorf(Forbidden, "You are not a member of this room. Join it to post.")
	case most < 0:
		most = f.limits.Each
	}
	file := File{ID: uuid.New(), Name: name}
	begun, err := f.queries.BeginFile(ctx, store.BeginFileParams{
		ID: file.ID, RoomID: room.ID, UploaderID: user.ID, Name: name, Most: min(most, f.limits.Each), MostInAll: f.limits.InAll,
	})
	switch {
	case err != nil:
		return File{}, fmt.Errorf("begin file %s: %w", file.ID, err)
	case !begun:
		return File{}, Errorf(TooLarge, "There is no room left for %q: all files together may have %s. Delete messages with large files, or ask an administrator for more.", name, Size(f.limits.InAll))
	}
	if err = f.store(ctx, &file, content); err == nil {
		return file, nil
	}
	// Also where the upload was broken off, which ends ctx. What cannot be removed now is swept.
	removing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return File{}, errors.Join(err, f.queries.RemoveFile(removing, file.ID))
}

// store takes in the content, finds out what it is, and completes the file.
func (f *Files) store(ctx context.Context, file *File, content io.Reader) error {
	piece, touched := make([]byte, chunkSize), time.Now()
	for n, more := int32(0), true; more; n++ {
		k := 0
		for k < len(piece) && more {
			m, err := content.Read(piece[k:])
			k += m
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("receive file %s: %w", file.ID, err)
			}
			more = err == nil
		}
		if file.Size += int64(k); file.Size > f.limits.Each {
			return f.TooLarge(file.Name)
		}
		switch n {
		case 0:
			file.Type = sniff(piece[:k])
		case collectAfter:
			runtime.GC()
		}
		if k == 0 {
			break
		}
		if err := f.queries.AddFileChunk(ctx, store.AddFileChunkParams{FileID: file.ID, N: n, Data: piece[:k]}); err != nil {
			return fmt.Errorf("store a piece of file %s: %w", file.ID, err)
		}
		if now := time.Now(); now.Sub(touched) >= touchEvery {
			if err := f.queries.TouchFile(ctx, file.ID); err != nil {
				return fmt.Errorf("touch file %s: %w", file.ID, err)
			}
			touched = now
		}
	}
	done := store.CompleteFileParams{ID: file.ID, Size: file.Size, Type: file.Type}
	if picture, ok := f.picture(ctx, *file); ok {
		file.Width, file.Height = picture.Width, picture.Height
		w, h := int32(picture.Width), int32(picture.Height) //nolint:gosec // bounded by thumbnail
		done.Width, done.Height, done.Thumbnail = &w, &h, picture.Thumbnail
	}
	n, err := f.queries.CompleteFile(ctx, done)
	if err == nil && n == 0 {
		err = Errorf(NotFound, "%q was removed while it was uploaded. Upload it again.", file.Name)
	}
	if err != nil {
		return fmt.Errorf("complete file %s: %w", file.ID, err)
	}
	return nil
}

// TooLarge is the error about a file with more bytes than one may have.
func (f *Files) TooLarge(name string) error {
	return Errorf(TooLarge, "%q is too large: a file may have at most %s.", name, Size(f.limits.Each))
}

// picture makes the thumbnail of an image. That there is none is no failure: the file is shown as any other.
func (f *Files) picture(ctx context.Context, file File) (thumbnail.Picture, bool) {
	if !strings.HasPrefix(file.Type, "image/") {
		return thumbnail.Picture{}, false
	}
	select {
	case f.decoding <- struct{}{}:
		defer func() { <-f.decoding }()
	case <-time.After(decodeWithin):
		return thumbnail.Picture{}, false
	case <-ctx.Done():
		return thumbnail.Picture{}, false
	}
	p, err := thumbnail.Make(f.Open(ctx, file))
	if p.Width*p.Height > trimAfter {
		debug.FreeOSMemory()
	}
	return p, err == nil
}

// Discard removes a file that the user has uploaded and not posted. The error may be an [Error] of code NotFound.
func (f *Files) Discard(ctx context.Context, userID, id uuid.UUID) error {
	n, err := f.queries.DiscardFile(ctx, store.DiscardFileParams{ID: id, UserID: userID})
	switch {
	case err != nil:
		return fmt.Errorf("discard file %s: %w", id, err)
	case n == 0:
		return errNoFile
	}
	return nil
}

var errNoFile = Errorf(NotFound, "There is no such file.")

// For returns a file that the user may see, and when it was stored. The error may be an [Error] of code NotFound.
func (f *Files) For(ctx context.Context, userID, id uuid.UUID) (File, time.Time, error) {
	r, err := f.queries.FileFor(ctx, store.FileForParams{UserID: userID, ID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return File{}, time.Time{}, errNoFile
	}
	if err != nil {
		return File{}, time.Time{}, fmt.Errorf("find file %s: %w", id, err)
	}
	return File{ID: r.ID, Name: r.Name, Type: r.Type, Size: r.Size, Width: int(r.Width), Height: int(r.Height)}, r.CompletedAt, nil
}

// Thumbnail returns a file's thumbnail, a JPEG or PNG image; empty: it has none.
func (f *Files) Thumbnail(ctx context.Context, id uuid.UUID) ([]byte, error) {
	small, err := f.queries.FileThumbnail(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read the thumbnail of file %s: %w", id, err)
	}
	return small, nil
}

// ThumbnailType is the content type of a thumbnail.
func ThumbnailType(small []byte) string { return thumbnail.Type(small) }

// Open returns the content of a file, for one goroutine, as long as ctx lasts.
func (f *Files) Open(ctx context.Context, file File) io.ReadSeeker {
	return &content{size: file.Size, held: -1, read: func(n int64) ([]byte, error) {
		data, err := f.queries.FileChunk(ctx, store.FileChunkParams{FileID: file.ID, N: int32(n)}) //nolint:gosec // bounded by the size
		if err != nil {
			err = fmt.Errorf("read piece %d of file %s: %w", n, file.ID, err)
		}
		return data, err
	}}
}

// content reads a file piece by piece and holds one.
type content struct {
	read     func(n int64) ([]byte, error)
	size, at int64
	held     int64 // the number of the piece; -1: none
	piece    []byte
	pieces   int // so far
}

func (c *content) Read(p []byte) (int, error) {
	if c.at >= c.size {
		return 0, io.EOF
	}
	if n := c.at / chunkSize; n != c.held {
		c.held, c.piece = -1, nil // not two at once
		piece, err := c.read(n)
		if err != nil {
			return 0, err
		}
		c.held, c.piece = n, piece
		if c.pieces++; c.pieces == collectAfter {
			runtime.GC()
		}
	}
	from := c.at % chunkSize
	if from >= int64(len(c.piece)) {
		return 0, io.ErrUnexpectedEOF
	}
	n := copy(p, c.piece[from:])
	c.at += int64(n)
	return n, nil
}

func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of a file")
	}
	c.at = offset
	return offset, nil
}

// Sweep removes files that nobody will see, unless another instance does it just now, and returns how many.
func (f *Files) Sweep(ctx context.Context) (int64, error) {
	n, err := f.queries.SweepFiles(ctx, store.SweepFilesParams{
		UploadSeconds: uploadFor.Seconds(), UnpostedSeconds: unpostedFor.Seconds(), DeletedSeconds: deletedFor.Seconds(),
	})
	if err != nil {
		return 0, fmt.Errorf("sweep files: %w", err)
	}
	return n, nil
}

// OnlyFiles reports whether the message says nothing but what its files are called.
func (m Message) OnlyFiles() bool {
	files := m.Attached().Files
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name
	}
	return len(files) > 0 && m.Body == strings.Join(names, ", ")
}

// FileName makes a file's name fit to be stored and shown: without folders and what is invisible, at most 255 bytes. What has no
// name is called "file".
func FileName(name string) string {
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, "�"), `\`, "/"))
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return -1
		}
		return r
	}, name))
	if name == "" || strings.Trim(name, "./") == "" {
		return "file"
	}
	if len(name) <= maxFileName {
		return name
	}
	end := path.Ext(name)
	if len(end) > 20 {
		end = ""
	}
	start := name[:maxFileName-len(end)]
	for !utf8.ValidString(start) {
		start = start[:len(start)-1]
	}
	return start + end
}

// sniff tells what a file is from its first bytes.
func sniff(head []byte) string {
	if len(head) >= 12 && string(head[4:8]) == "ftyp" && (bytes.HasPrefix(head[8:], []byte("avif")) || bytes.HasPrefix(head[8:], []byte("avis"))) {
		return "image/avif" // which net/http does not know
	}
	return http.DetectContentType(head)
}

// Size is a number of bytes for people, such as "1.4 MB".
func Size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d bytes", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.95 && unit < 3 {
		value, unit = value/1000, unit+1
	}
	text := fmt.Sprintf("%.1f", value)
	if value >= 99.95 || strings.HasSuffix(text, ".0") {
		text = fmt.Sprintf("%.0f", value)
	}
	return text + " " + []string{"kB", "MB", "GB", "TB"}[unit]
}
