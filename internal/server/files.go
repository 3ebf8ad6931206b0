package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

const (
	// filePolicy lets nothing in a file run or load, whatever it is taken for; what is allowed is how browsers show an image or a
	// video by itself.
	filePolicy = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"

	pieceWithin = 30 * time.Second // for the next piece of a file to come or to be taken: slower is a connection that hangs
	readOut     = 30 * time.Second // of an upload that is refused the rest is read for so long, since browsers send before they listen
	formAround  = 64 << 10         // bytes of an upload that are not the file's: its form's other fields
)

// inline are the content types that browsers show in the page's place. None of them can hold a script; all others are downloaded.
var inline = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/avif": true, "image/bmp": true,
	"video/mp4": true, "video/webm": true, "audio/mpeg": true, "audio/wave": true, "audio/aiff": true, "application/ogg": true,
	"text/plain": true,
}

// file serves a file of a message, whole or in part.
func (s *Server) file(w http.ResponseWriter, r *http.Request) error {
	file, at, err := s.fileFor(r)
	if err != nil {
		return err
	}
	kind, _, err := mime.ParseMediaType(file.Type)
	shown := err == nil && inline[kind]
	h, disposition := w.Header(), "inline"
	switch {
	case shown:
		h.Set("Content-Type", file.Type)
	case kind == "application/pdf":
		h.Set("Content-Type", kind)
	default:
		h.Set("Content-Type", "application/octet-stream")
	}
	if !shown || r.URL.Query().Has("download") {
		disposition = "attachment"
	}
	h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": file.Name}))
	s.fileHeaders(h, file.ID.String())
	content := &watched{ReadSeeker: s.Files.Open(r.Context(), file), before: deadlines(w)}
	http.ServeContent(w, r, "", at, content)
	if content.err != nil && r.Context().Err() == nil {
		// Its head is sent: the connection is closed too early, by which the client knows.
		s.Log.Error("a file could not be sent", "request", of(r).id, "file", file.ID, "error", content.err)
	}
	return nil
}

// thumbnail serves the small image of one.
func (s *Server) thumbnail(w http.ResponseWriter, r *http.Request) error {
	file, at, err := s.fileFor(r)
	if err != nil {
		return err
	}
	small, err := s.Files.Thumbnail(r.Context(), file.ID)
	if err != nil {
		return err
	}
	if len(small) == 0 {
		return chat.Errorf(chat.NotFound, "%q has no thumbnail.", file.Name)
	}
	w.Header().Set("Content-Type", chat.ThumbnailType(small))
	s.fileHeaders(w.Header(), file.ID.String()+"-thumbnail")
	http.ServeContent(w, r, "", at, bytes.NewReader(small))
	return nil
}

func (s *Server) fileHeaders(h http.Header, tag string) {
	h.Set("Content-Security-Policy", filePolicy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	h.Set("ETag", `"`+tag+`"`)
}

func (s *Server) fileFor(r *http.Request) (chat.File, time.Time, error) {
	user, err := s.caller(r)
	if err != nil {
		return chat.File{}, time.Time{}, err
	}
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return chat.File{}, time.Time{}, chat.Errorf(chat.NotFound, "%q is no file's id.", r.PathValue("id"))
	}
	return s.Files.For(r.Context(), user.ID, id)
}

// discard removes a file that was uploaded and is not to be posted.
func (s *Server) discard(w http.ResponseWriter, r *http.Request) error {
	user, err := s.caller(r)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		return chat.Errorf(chat.NotFound, "%q is no file's id.", r.PathValue("id"))
	}
	if err := s.Files.Discard(r.Context(), user.ID, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// upload takes one file, the form's field "file", and answers with what a message needs to have it.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) (err error) {
	user, room, err := s.callerIn(r)
	if err != nil {
		return err
	}
	in, err := s.incoming(w, r)
	if err != nil {
		return err
	}
	defer func() { err = in.refused(err) }()
	if err := s.mayPost(w, r); err != nil {
		return err
	}
	if r.ContentLength > s.Files.Limit()+formAround { // it need not be sent to be told
		return s.Files.TooLarge("The file")
	}
	for {
		part, err := in.next()
		if errors.Is(err, io.EOF) {
			return chat.Errorf(chat.Invalid, `There is no file in what was sent: it is the field "file" of a form.`)
		}
		if err != nil {
			return err
		}
		if part.FormName() != "file" || part.FileName() == "" {
			continue
		}
		file, err := s.Files.Receive(r.Context(), user, room, chat.FileName(part.FileName()), part, in.most())
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusCreated, file)
		return nil
	}
}

// postForm takes a message with files from a form: text, files that were uploaded before, and files. A message that cannot be
// posted leaves none of its files behind.
func (s *Server) postForm(w http.ResponseWriter, r *http.Request) (err error) {
	user, room, err := s.callerIn(r)
	if err != nil {
		return err
	}
	in, err := s.incoming(w, r)
	if err != nil {
		return err
	}
	r.PostForm = url.Values{} // the failure's page has the text from there
	var files []uuid.UUID
	fields := 0 // bytes of all that is no file
	defer func() {
		if err != nil {
			err = in.refused(err)
			s.forget(r.Context(), user.ID, files)
		}
	}()
	for {
		part, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch {
		case part.FormName() != "file":
			value, err := field(part)
			if err != nil {
				return err
			}
			if fields += len(part.FormName()) + len(value); fields > maxForm {
				return badForm(&http.MaxBytesError{Limit: maxForm})
			}
			if part.FormName() != "files" {
				r.PostForm.Add(part.FormName(), value)
				continue
			}
			id, err := fileID(value)
			if err == nil && len(files) >= chat.MaxFiles {
				err = tooManyFiles()
			}
			if err != nil {
				return s.postRefused(w, r, room, in.refused(err), &files)
			}
			files = append(files, id)
		case part.FileName() == "": // nothing was chosen
		case len(files) >= chat.MaxFiles:
			return s.postRefused(w, r, room, in.refused(tooManyFiles()), &files)
		default:
			file, err := s.Files.Receive(r.Context(), user, room, chat.FileName(part.FileName()), part, in.most())
			if err != nil {
				return s.postRefused(w, r, room, in.refused(err), &files)
			}
			files = append(files, file.ID)
		}
	}
	if err = s.postMessage(w, r, room, files); err != nil {
		return s.postRefused(w, r, room, err, &files)
	}
	return nil
}

// uploadedBefore is the files of a message that were uploaded before, in a form without files or from a program.
func uploadedBefore(r *http.Request) (files []uuid.UUID, err error) {
	for _, text := range r.PostForm["files"] {
		id, err := fileID(text)
		if err != nil {
			return nil, err
		}
		files = append(files, id)
	}
	return files, nil
}

func fileID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil, chat.Errorf(chat.Invalid, "%q is no file's id.", text)
	}
	return id, nil
}

func tooManyFiles() error {
	return chat.Errorf(chat.Invalid, "A message has at most %d files. Send them in several.", chat.MaxFiles)
}

// postRefused shows the room with the reason, the text still in its form; the files are not kept.
func (s *Server) postRefused(w http.ResponseWriter, r *http.Request, room chat.Room, err error, files *[]uuid.UUID) error {
	s.forget(r.Context(), of(r).user.ID, *files)
	*files = nil
	return s.showRefused(w, r, room, err)
}

// forget removes files that are not posted. What cannot be removed is swept.
func (s *Server) forget(ctx context.Context, userID uuid.UUID, files []uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, id := range files {
		if err := s.Files.Discard(ctx, userID, id); err != nil {
			s.Log.Debug("a file is left to be swept", "file", id, "error", err)
		}
	}
}

func field(part io.Reader) (string, error) {
	value, err := io.ReadAll(io.LimitReader(part, maxForm+1))
	if len(value) > maxForm {
		return "", badForm(&http.MaxBytesError{Limit: maxForm})
	}
	return string(value), err
}

// incoming is a form with files on its way in. It is read as it comes, whatever its size.
type incoming struct {
	parts *multipart.Reader
	body  *watched
	of    *http.Request
	until func(time.Time) error // sets the read deadline
}

func isMultipart(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "multipart/form-data"
}

func (s *Server) incoming(w http.ResponseWriter, r *http.Request) (*incoming, error) {
	body := &watched{ReadSeeker: readOnly{of(r).body}, before: deadlines(w)}
	r.Body = io.NopCloser(body) // what it is bounded by are the limits of files
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, chat.Errorf(chat.Invalid, "Files are sent as a form, multipart/form-data.")
	}
	return &incoming{parts: parts, body: body, of: r, until: http.NewResponseController(w).SetReadDeadline}, nil
}

func (in *incoming) next() (*multipart.Part, error) {
	part, err := in.parts.NextPart()
	switch {
	case err == nil || errors.Is(err, io.EOF) && in.body.err == nil:
		return part, err
	case in.body.err == nil:
		return nil, chat.Errorf(chat.Invalid, "The form cannot be read. Load the page again and send it anew.")
	}
	return nil, err
}

// most is how many bytes the file that begins may have; below 0: not known.
func (in *incoming) most() int64 {
	if in.of.ContentLength < 0 {
		return -1
	}
	return min(in.of.ContentLength, in.of.ContentLength-in.body.n+formAround) // some of it may have been read ahead
}

// refused returns why an upload failed. Of one that the server refuses the rest is read for a while: a browser hears the answer
// only when it has sent all.
func (in *incoming) refused(err error) error {
	switch {
	case err == nil:
		return nil
	case in.body.err != nil, in.of.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		return chat.Errorf(chat.Invalid, "The upload was broken off. Upload it again.")
	}
	if in.until(time.Now().Add(readOut)) == nil {
		in.body.before = func() {}
		_, _ = io.Copy(io.Discard, in.body)
	}
	return err
}

// watched calls before for each reading and remembers why it ended.
type watched struct {
	io.ReadSeeker
	before func()
	n      int64
	err    error // nil: all is well so far, or it has come to its end
}

func (v *watched) Read(p []byte) (int, error) {
	v.before()
	n, err := v.ReadSeeker.Read(p)
	v.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		v.err = err
	}
	return n, err
}

type readOnly struct{ io.Reader }

func (readOnly) Seek(int64, int) (int64, error) { return 0, errors.ErrUnsupported }

// deadlines returns what gives a connection more time, at most once a second.
func deadlines(w http.ResponseWriter) func() {
	connection, last := http.NewResponseController(w), time.Time{}
	return func() {
		now := time.Now()
		if now.Sub(last) < time.Second {
			return
		}
		last = now
		// What cannot be set, as in tests without a connection, is not needed.
		_ = connection.SetReadDeadline(now.Add(pieceWithin))
		_ = connection.SetWriteDeadline(now.Add(2 * pieceWithin))
	}
}

// typed is the message in a form of somebody who is not signed in any more.
func typed(r *http.Request) string {
	if !isMultipart(r) {
		if r.ParseForm() != nil {
			return ""
		}
		return r.PostForm.Get("body")
	}
	parts, err := r.MultipartReader()
	for err == nil {
		var part *multipart.Part
		if part, err = parts.NextPart(); err == nil && part.FormName() == "body" {
			text, _ := io.ReadAll(part) // bounded by maxForm
			r.PostForm = url.Values{"body": {string(text)}}
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}
