package consumer

import (
	"errors"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pgchat/pgchat/internal/chat"
)

func TestFramesThatCannotBeUnderstoodSayWhy(t *testing.T) {
	for _, d := range []dialect{&page{}, &v1{}} {
		for _, data := range []string{``, `x`, `[]`, `{"type":1}`, `{"type":"post","body":1}`} {
			var e *chat.Error
			if err := d.receive(&conn{}, []byte(data)); !errors.As(err, &e) || e.Code != chat.BadFrame || e.Message == "" {
				t.Errorf("%T %s: got %v, want bad_frame", d, data, err)
			}
		}
	}
}

func TestFramesAreWhatTheProtocolSays(t *testing.T) {
	for _, n := range []int{0, 10, 100, 150, 1000, 70_000} {
		text := strings.Repeat("<", n)
		data := frame(text)
		if data[0] != 0x80|websocket.TextMessage {
			t.Errorf("%d: first byte %x", n, data[0])
		}
		length, at := int(data[1]), 2
		switch length {
		case 126:
			length, at = int(data[2])<<8|int(data[3]), 4
		case 127:
			length, at = int(data[6])<<24|int(data[7])<<16|int(data[8])<<8|int(data[9]), 10
		}
		if length != n+2 || string(data[at:]) != `"`+text+`"` {
			t.Errorf("%d: length %d", n, length)
		}
	}
}
