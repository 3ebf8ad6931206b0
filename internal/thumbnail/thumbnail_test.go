package thumbnail

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

// quarters is an image whose quarters have colours of their own: red, green, blue, white, as one reads.
func quarters(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{A: 255}
			switch {
			case x < w/2 && y < h/2:
				c.R = 255
			case y < h/2:
				c.G = 255
			case x < w/2:
				c.B = 255
			default:
				c = color.RGBA{255, 255, 255, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

func called(c color.Color) string {
	r, g, b, _ := c.RGBA()
	switch high := func(v uint32) bool { return v > 0x8000 }; {
	case high(r) && high(g) && high(b):
		return "white"
	case high(r):
		return "red"
	case high(g):
		return "green"
	case high(b):
		return "blue"
	}
	return "none"
}

// seen names the colours of a thumbnail's quarters, as one reads.
func seen(t *testing.T, thumbnail []byte) (string, image.Point) {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(thumbnail))
	if err != nil {
		t.Fatal(err)
	}
	s := m.Bounds().Size()
	return fmt.Sprint(called(m.At(s.X/4, s.Y/4)), " ", called(m.At(s.X*3/4, s.Y/4)), " ", called(m.At(s.X/4, s.Y*3/4)), " ", called(m.At(s.X*3/4, s.Y*3/4))), s
}

func TestThumbnailsOfEveryKind(t *testing.T) {
	large := quarters(1600, 900)
	holed := quarters(40, 30)
	holed.SetRGBA(20, 15, color.RGBA{})
	paletted := image.NewPaletted(image.Rect(0, 0, 1600, 900), color.Palette{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}, color.White})
	for y := range 900 {
		for x := range 1600 {
			paletted.Set(x, y, large.At(x, y))
		}
	}
	var asPNG, asJPEG, asGIF, asHoled bytes.Buffer
	if err := errors.Join(png.Encode(&asPNG, large), jpeg.Encode(&asJPEG, large, nil), gif.Encode(&asGIF, paletted, nil), png.Encode(&asHoled, holed)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in          []byte
		want        Picture
		wantSize    image.Point
		contentType string
	}{
		"png":         {asPNG.Bytes(), Picture{Width: 1600, Height: 900}, image.Pt(640, 360), "image/jpeg"},
		"jpeg":        {asJPEG.Bytes(), Picture{Width: 1600, Height: 900}, image.Pt(640, 360), "image/jpeg"},
		"gif":         {asGIF.Bytes(), Picture{Width: 1600, Height: 900}, image.Pt(640, 360), "image/jpeg"},
		"transparent": {asHoled.Bytes(), Picture{Width: 40, Height: 30}, image.Pt(40, 30), "image/png"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Make(bytes.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if colours, size := seen(t, p.Thumbnail); colours != "red green blue white" || size != c.wantSize {
				t.Errorf("the thumbnail is %s, %v", colours, size)
			}
			if p.Width != c.want.Width || p.Height != c.want.Height || Type(p.Thumbnail) != c.contentType {
				t.Errorf("%d × %d, %s", p.Width, p.Height, Type(p.Thumbnail))
			}
		})
	}
}

// withTurn is a JPEG whose Exif data says that it is to be turned.
func withTurn(t *testing.T, m image.Image, to turn) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, nil); err != nil {
		t.Fatal(err)
	}
	exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	exif = append(binary.BigEndian.AppendUint16(exif, uint16(to)), 0, 0)
	segment := append([]byte{0xFF, 0xE1}, binary.BigEndian.AppendUint16(nil, uint16(len(exif)+2))...)
	return append(append(append([]byte{}, out.Bytes()[:2]...), append(segment, exif...)...), out.Bytes()[2:]...)
}

func TestPhotosAreTurnedAsTheCameraWasHeld(t *testing.T) {
	for to, want := range map[turn]string{
		0: "red green blue white", 1: "red green blue white", 2: "green red white blue", 3: "white blue green red", 4: "blue white red green",
		5: "red blue green white", 6: "blue red white green", 7: "white green blue red", 8: "green white red blue", 9: "red green blue white",
	} {
		p, err := Make(bytes.NewReader(withTurn(t, quarters(1000, 500), to)))
		if err != nil {
			t.Fatal(err)
		}
		colours, size := seen(t, p.Thumbnail)
		wantSize, seenSize := image.Pt(640, 320), image.Pt(p.Width, p.Height)
		if to.swaps() {
			wantSize, seenSize = image.Pt(240, 480), image.Pt(p.Height, p.Width)
		}
		if colours != want || size != wantSize || seenSize != image.Pt(1000, 500) {
			t.Errorf("turn %d: %s, %v, of %d × %d; want %s, %v", to, colours, size, p.Width, p.Height, want, wantSize)
		}
	}
}

func TestABombIsNotDecoded(t *testing.T) {
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	bomb := out.Bytes()
	binary.BigEndian.PutUint32(bomb[16:], 60_000) // its head claims 60,000 × 60,000
	binary.BigEndian.PutUint32(bomb[20:], 60_000)
	binary.BigEndian.PutUint32(bomb[29:], crc32.ChecksumIEEE(bomb[12:29]))
	if _, err := Make(bytes.NewReader(bomb)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the error is %v", err)
	}
}

func TestWhatIsNoImageIsAnError(t *testing.T) {
	for _, in := range []string{"", "hello", "\x89PNG\r\n\x1a\n", "\xff\xd8\xff\xe1\x00", "\xff\xd8\xff\xe1\x00\x00", "GIF89a"} {
		if _, err := Make(bytes.NewReader([]byte(in))); err == nil {
			t.Errorf("%q is an image", in)
		}
	}
}

func FuzzOrientation(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x20Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"))
	f.Fuzz(func(_ *testing.T, in []byte) { orientation(bytes.NewReader(in)) })
}
