// Package thumbnail makes small images of large ones that somebody else has made, who may mean harm: what would take too much
// memory is told from the image's head and not decoded.
package thumbnail

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // decoders
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp" // a decoder
)

const (
	maxWidth, maxHeight = 640, 480 // of a thumbnail: twice of what pages show, for screens with two pixels to one
	maxPixels           = 25_000_000
	quality             = 80
)

// ErrTooLarge says that an image has more pixels than are decoded.
var ErrTooLarge = errors.New("the image has too many pixels")

// Picture is an image and its thumbnail.
type Picture struct {
	Width, Height int // pixels of the image, as it is to be seen: a camera may have been held upright
	Thumbnail     []byte
}

// Type is the content type of a thumbnail.
func Type(thumbnail []byte) string {
	if bytes.HasPrefix(thumbnail, []byte("\x89PNG")) {
		return "image/png"
	}
	return "image/jpeg"
}

// Make decodes a PNG, JPEG, GIF (its first frame) or WebP image. For a moment it takes up to 250 MB, for 25 million pixels.
func Make(r io.ReadSeeker) (p Picture, err error) {
	defer func() {
		if why := recover(); why != nil { // of a decoder that did not expect what it was given
			p, err = Picture{}, fmt.Errorf("decode an image: %v", why)
		}
	}()
	head, _, err := image.DecodeConfig(bufio.NewReaderSize(r, 32<<10))
	if err != nil {
		return Picture{}, fmt.Errorf("read an image's head: %w", err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Picture{}, err
	}
	most := int64(maxPixels)
	switch {
	case progressive(r):
		most /= 3 // 4 bytes a number, beside the image
	case deep(head.ColorModel) || head.ColorModel == color.CMYKModel:
		most /= 2
	}
	if pixels := int64(head.Width) * int64(head.Height); pixels == 0 || pixels > most {
		return Picture{}, fmt.Errorf("%d × %d: %w", head.Width, head.Height, ErrTooLarge)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Picture{}, err
	}
	turn := orientation(bufio.NewReaderSize(r, 32<<10))
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Picture{}, err
	}
	decoded, _, err := image.Decode(bufio.NewReaderSize(r, 32<<10))
	if err != nil {
		return Picture{}, fmt.Errorf("decode an image: %w", err)
	}
	size := decoded.Bounds().Size()
	p.Width, p.Height = size.X, size.Y
	within := image.Pt(maxWidth, maxHeight)
	if turn.swaps() {
		p.Width, p.Height = p.Height, p.Width
		within = image.Pt(maxHeight, maxWidth)
	}
	small := image.NewRGBA(image.Rectangle{Max: fit(size, within)})
	scale(small, decoded)
	p.Thumbnail, err = encode(turn.apply(small))
	return p, err
}

// scale fills small with the whole image, a band at a time: the scaler holds a float for each colour of small's width and the
// image's height, 80 MB for the largest.
func scale(small *image.RGBA, m image.Image) {
	const band = 16 // rows of small
	from, to := m.Bounds(), small.Bounds()
	for y := 0; y < to.Dy(); y += band {
		end := min(y+band, to.Dy())
		rows := image.Rect(from.Min.X, from.Min.Y+y*from.Dy()/to.Dy(), from.Max.X, from.Min.Y+end*from.Dy()/to.Dy())
		draw.BiLinear.Scale(small, image.Rect(0, y, to.Dx(), end), m, rows, draw.Src, nil)
	}
}

// deep reports whether a colour takes twice the bytes.
func deep(m color.Model) bool {
	return m == color.RGBA64Model || m == color.NRGBA64Model || m == color.Gray16Model
}

// fit is the largest size of the same shape within the limits, none larger than the image.
func fit(size, within image.Point) image.Point {
	switch {
	case size.X <= within.X && size.Y <= within.Y:
		return size
	case size.X*within.Y > size.Y*within.X:
		return image.Pt(within.X, max(1, size.Y*within.X/size.X))
	}
	return image.Pt(max(1, size.X*within.Y/size.Y), within.Y)
}

func encode(m *image.RGBA) ([]byte, error) {
	var out bytes.Buffer
	var err error
	if m.Opaque() {
		err = jpeg.Encode(&out, m, &jpeg.Options{Quality: quality})
	} else {
		err = png.Encode(&out, m)
	}
	if err != nil {
		return nil, fmt.Errorf("encode a thumbnail: %w", err)
	}
	return out.Bytes(), nil
}
