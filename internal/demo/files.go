package demo

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"strings"

	"github.com/pgchat/pgchat/internal/chat"
	"github.com/pgchat/pgchat/internal/store"
)

// files are what the week's messages may carry, by name.
var files = map[string]func() ([]byte, error){
	"big-hall.png": func() ([]byte, error) {
		var out bytes.Buffer
		err := png.Encode(&out, seatingPlan())
		return out.Bytes(), err
	},
	"rehearsal.csv": func() ([]byte, error) {
		var out strings.Builder
		out.WriteString("second,buyers,orders,slowest_ms\n")
		for s := range 120 {
			waiting := 20_000 * math.Exp(-float64(s)/24)
			fmt.Fprintf(&out, "%d,%.0f,%.0f,%.0f\n", s, waiting, 20_000-waiting, 90+250*waiting/20_000)
		}
		return []byte(out.String()), nil
	},
}

// attach uploads what the messages carry and gives it to them; the first of them has the seq after first.
func (f *filler) attach(ctx context.Context, room chat.Room, first int64, messages []message) error {
	for i, m := range messages {
		for place, name := range m.files {
			content, err := files[name]()
			if err != nil {
				return fmt.Errorf("make %s: %w", name, err)
			}
			room.Member = true
			file, err := f.files.Receive(ctx, f.users[m.author], room, name, bytes.NewReader(content), int64(len(content)))
			if err == nil {
				err = f.queries.AttachPastFile(ctx, store.AttachPastFileParams{ID: file.ID, Seq: first + int64(i) + 1, Place: int32(place) + 1, At: m.at})
			}
			if err != nil {
				return fmt.Errorf("attach %s: %w", name, err)
			}
			f.done.Files++
		}
	}
	return nil
}

// seatingPlan draws a hall: a stage, and rows of seats around it, one of them marked.
func seatingPlan() image.Image {
	const w, h, rows, marked = 1200, 860, 18, 13
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Bounds(), image.NewUniform(color.RGBA{250, 249, 246, 255}), image.Point{}, draw.Src)
	colours := []color.RGBA{{47, 93, 138, 255}, {84, 130, 171, 255}, {138, 171, 201, 255}}
	cx, cy := float64(w)/2, float64(h)+120
	for y := h - 96; y < h-28; y++ { // the stage
		half := 300 - (y-(h-96))/3
		draw.Draw(m, image.Rect(w/2-half, y, w/2+half, y+1), image.NewUniform(color.RGBA{59, 58, 66, 255}), image.Point{}, draw.Src)
	}
	for row := range rows {
		radius := 300 + float64(row)*36
		seats := int(radius / 20)
		for s := range seats {
			if part := float64(s) / float64(seats-1); part > .31 && part < .345 || part > .655 && part < .69 {
				continue // aisles
			}
			angle := math.Pi * (.29 + .42*float64(s)/float64(seats-1))
			c := colours[row/6]
			if row == marked {
				c = color.RGBA{214, 106, 58, 255}
			}
			dot(m, cx-radius*math.Cos(angle), cy-radius*math.Sin(angle), 10, c)
		}
	}
	return m
}

// dot fills a circle with a soft edge.
func dot(m *image.RGBA, cx, cy, r float64, c color.RGBA) {
	for y := int(cy - r - 1); y <= int(cy+r+1); y++ {
		for x := int(cx - r - 1); x <= int(cx+r+1); x++ {
			over := min(1, max(0, r+.5-math.Hypot(float64(x)+.5-cx, float64(y)+.5-cy)))
			if over == 0 || !image.Pt(x, y).In(m.Bounds()) {
				continue
			}
			under := m.RGBAAt(x, y)
			mix := func(a, b uint8) uint8 { return uint8(float64(a)*(1-over) + float64(b)*over) }
			m.SetRGBA(x, y, color.RGBA{mix(under.R, c.R), mix(under.G, c.G), mix(under.B, c.B), 255})
		}
	}
}
