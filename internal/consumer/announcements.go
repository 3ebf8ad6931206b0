package consumer

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/pgchat/pgchat/internal/chat"
)

type v1Announcements struct {
	Type          string           `json:"type"`
	Announcements []v1Announcement `json:"announcements"`
}

type v1Announcement struct {
	ID    uuid.UUID  `json:"id"`
	Text  string     `json:"text"`
	At    time.Time  `json:"at"`
	Until *time.Time `json:"until,omitempty"` // without: until it is withdrawn
}

// Announced returns what is announced at the moment, the oldest first.
func (s *Sockets) Announced() []chat.Announcement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.announced
}

func (s *Sockets) announceSoon() {
	select {
	case s.toAnnounce <- struct{}{}:
	default:
	}
}

// announce reads what is announced and tells every connection if that is otherwise than before; once more when the next of it ends.
func (s *Sockets) announce() {
	ctx, cancel := context.WithTimeout(s.ctx, writeWithin)
	defer cancel()
	now, next, err := s.cfg.Announcements.Current(ctx)
	s.announceStop()
	if err != nil {
		if s.ctx.Err() == nil {
			s.cfg.Log.Debug("what is announced cannot be read; it is tried again", "error", err)
			s.nextAnnounce = time.AfterFunc(missEvery, s.announceSoon)
		}
		return
	}
	if next > 0 {
		s.nextAnnounce = time.AfterFunc(next, s.announceSoon)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.EqualFunc(now, s.announced, chat.Announcement.Equal) {
		return
	}
	s.announced, s.announcedAt = now, time.Now()
	frames := map[string][]byte{}
	for c := range s.conns {
		kind := c.dialect.name()
		if frames[kind] == nil {
			frames[kind] = c.dialect.announced(now)
		}
		c.answer(frames[kind])
	}
}

func (s *Sockets) announceStop() {
	if s.nextAnnounce != nil {
		s.nextAnnounce.Stop()
	}
}

func (p *page) announced(list []chat.Announcement) []byte {
	html := string(p.sockets.cfg.RenderAnnouncements(list))
	return frame(pageOut{Type: "announcements", Announcements: &html})
}

func (v *v1) announced(list []chat.Announcement) []byte {
	out := v1Announcements{Type: "announcements", Announcements: make([]v1Announcement, 0, len(list))}
	for _, a := range list {
		out.Announcements = append(out.Announcements, v1Announcement{ID: a.ID, Text: a.Text, At: a.At, Until: v1End(a.Until)})
	}
	return frame(out)
}
