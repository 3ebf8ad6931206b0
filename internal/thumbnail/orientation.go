package thumbnail

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"image"
	"io"
)

// turn is how an image is to be turned before it is seen, as Exif numbers it: 1 not at all, 2 to 8 mirrored, turned, or both.
type turn uint16

// swaps reports whether width and height change places.
func (t turn) swaps() bool { return t >= 5 && t <= 8 }

// apply returns the image as it is to be seen.
func (t turn) apply(m *image.RGBA) *image.RGBA {
	if t < 2 || t > 8 {
		return m
	}
	size := m.Bounds().Size()
	w, h := size.X, size.Y
	if t.swaps() {
		w, h = h, w
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range size.Y {
		for x := range size.X {
			// Exif says where the first row and the first column of what is stored are when it is seen.
			a, b := x, y
			switch t {
			case 2: // mirrored
				a = w - 1 - x
			case 3: // upside down
				a, b = w-1-x, h-1-y
			case 4: // mirrored and upside down
				b = h - 1 - y
			case 5: // mirrored, then turned to the left
				a, b = y, x
			case 6: // to be turned to the right
				a, b = w-1-y, x
			case 7: // mirrored, then turned to the right
				a, b = w-1-y, h-1-x
			case 8: // to be turned to the left
				a, b = y, h-1-x
			}
			out.SetRGBA(a, b, m.RGBAAt(x, y))
		}
	}
	return out
}

// orientation reads the turn from a JPEG's Exif data; 1 where there is none.
func orientation(r io.Reader) turn {
	var marker [4]byte // 0xFF, what it is, and how many bytes there are, these two among them
	if _, err := io.ReadFull(r, marker[:2]); err != nil || marker[0] != 0xFF || marker[1] != 0xD8 {
		return 1
	}
	for range 32 { // segments before the image itself
		if _, err := io.ReadFull(r, marker[:]); err != nil || marker[0] != 0xFF || marker[1] == 0xDA {
			return 1
		}
		segment := make([]byte, max(0, int(binary.BigEndian.Uint16(marker[2:]))-2))
		if _, err := io.ReadFull(r, segment); err != nil {
			return 1
		}
		if tiff, is := bytes.CutPrefix(segment, []byte("Exif\x00\x00")); is && marker[1] == 0xE1 {
			return inTIFF(tiff)
		}
	}
	return 1
}

// progressive reports whether a JPEG is stored in several passes, of which a decoder keeps all numbers until the last.
func progressive(r io.Reader) bool {
	in := bufio.NewReader(r)
	var marker [4]byte
	if _, err := io.ReadFull(in, marker[:2]); err != nil || marker[0] != 0xFF || marker[1] != 0xD8 {
		return false
	}
	for {
		if _, err := io.ReadFull(in, marker[:]); err != nil || marker[0] != 0xFF || marker[1] == 0xDA {
			return false
		}
		if marker[1] == 0xC2 || marker[1] == 0xC6 || marker[1] == 0xCA || marker[1] == 0xCE {
			return true
		}
		if _, err := in.Discard(max(0, int(binary.BigEndian.Uint16(marker[2:]))-2)); err != nil {
			return false
		}
	}
}

func inTIFF(tiff []byte) turn {
	if len(tiff) < 8 {
		return 1
	}
	var order binary.ByteOrder = binary.LittleEndian
	if tiff[0] == 'M' {
		order = binary.BigEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return 1
	}
	const entry, orientationTag = 12, 0x0112
	for i := range int64(order.Uint16(tiff[at:])) {
		from := at + 2 + i*entry
		if from+entry > int64(len(tiff)) {
			return 1
		}
		if order.Uint16(tiff[from:]) == orientationTag {
			return turn(order.Uint16(tiff[from+8:]))
		}
	}
	return 1
}
