package page

import (
	"html/template"
	"image"
	"net/url"
	"strings"

	"github.com/pgchat/pgchat/internal/chat"
)

// maxShown is the size of the largest picture in the log, in CSS pixels.
var maxShown = image.Pt(320, 240)

// fileFuncs are what the templates of files need.
var fileFuncs = template.FuncMap{"address": address, "shown": shown, "size": chat.Size, "fileicon": fileIcon}

func address(f chat.File) string { return "/files/" + f.ID.String() + "/" + url.PathEscape(f.Name) }

// shown is the size in which an image is shown.
func shown(f chat.File) image.Point {
	size := image.Pt(f.Width, f.Height)
	if size.X > maxShown.X {
		size = image.Pt(maxShown.X, max(1, size.Y*maxShown.X/size.X))
	}
	if size.Y > maxShown.Y {
		size = image.Pt(max(1, size.X*maxShown.Y/size.Y), maxShown.Y)
	}
	return size
}

func fileIcon(f chat.File) string {
	kind, _, _ := strings.Cut(f.Type, "/")
	switch {
	case kind == "image":
		return "image"
	case kind == "video":
		return "film"
	case kind == "audio" || strings.HasPrefix(f.Type, "application/ogg"):
		return "music"
	case kind == "text" || f.Type == "application/pdf":
		return "file-text"
	case f.Type == "application/zip" || strings.Contains(f.Type, "gzip") || strings.Contains(f.Type, "rar"):
		return "file-archive"
	}
	return "file"
}
