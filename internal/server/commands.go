package server

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/pgchat/pgchat/internal/chat"
)

// command is what somebody types instead of a message.
type command struct {
	name, usage, what string
	run               func(s *Server, r *http.Request, room chat.Room, rest string) (told string, err error) // nil: it is a message
}

// commandList is in the order in which /help lists them; it is filled in by init, since /help itself is among them.
var commandList []command

func init() {
	commandList = []command{
		{"me", "/me waves", "Say what you do.", nil},
		{"topic", "/topic Release on Friday", "Change the topic of the room.", (*Server).topicCommand},
		{"invite", "/invite @ada @bob", "Add people to the room.", (*Server).inviteCommand},
		{"status", "/status 🌴 On holiday", "Say what you are up to; without words, nothing.", (*Server).statusCommand},
		{"dnd", "/dnd 1h", "Not be disturbed for 30m, 1h, 4h or forever; off ends it.", (*Server).dndCommand},
		{"help", "/help", "List the commands.", func(*Server, *http.Request, chat.Room, string) (string, error) { return help(), nil }},
	}
}

// commanded finds a command at the beginning of what was typed: /etc/hosts is none.
var commanded = regexp.MustCompile(`^\s*/([A-Za-z]+)(?:\s+|$)`)

// command runs the command that text is. ok is false where it is a message: body is its text then, which differs where it began
// with two slashes.
func (s *Server) command(r *http.Request, room chat.Room, text string, files int) (told, body string, ok bool, err error) {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "//") && commanded.MatchString(trimmed[1:]) {
		return "", trimmed[1:], false, nil
	}
	found := commanded.FindStringSubmatch(text)
	if found == nil {
		return "", text, false, nil
	}
	name, rest := strings.ToLower(found[1]), strings.TrimSpace(text[len(found[0]):])
	for _, c := range commandList {
		switch {
		case c.name != name:
			continue
		case c.run != nil && files > 0:
			return "", "", true, wrongCommand("/%s takes no files. Send them first, or take them away.", name)
		case c.run != nil:
			told, err = c.run(s, r, room, rest)
			return told, "", true, inBody(err)
		case rest == "":
			return "", "", true, wrongCommand("Say what you do: %s", c.usage)
		}
		return "", "/" + name + " " + rest, false, nil
	}
	return "", "", true, wrongCommand("There is no command /%s; /help lists those that there are. To send it as a message, begin with two slashes: //%s", found[1], found[1])
}

func wrongCommand(format string, args ...any) error {
	err := chat.Errorf(chat.Invalid, format, args...)
	err.Field = "body"
	return err
}

// inBody makes an error about a field of another form one about the composer.
func inBody(err error) error {
	var e *chat.Error
	if !errors.As(err, &e) || e.Field == "" {
		return err
	}
	here := *e
	here.Field = "body"
	return &here
}

func help() string {
	var lines strings.Builder
	for _, c := range commandList {
		lines.WriteString(c.usage + " — " + c.what + "\n")
	}
	return lines.String() + "//word — Send a message that begins with a slash."
}

func (s *Server) topicCommand(r *http.Request, room chat.Room, topic string) (string, error) {
	if topic == "" {
		return "", wrongCommand("Say the topic: /topic Release on Friday. To have none, empty it in the settings of the room.")
	}
	if room.Kind == chat.Direct {
		return "", wrongCommand("A direct conversation has no topic.")
	}
	if err := s.Rooms.Update(r.Context(), *of(r).user, room, room.Name, topic); err != nil {
		return "", err
	}
	return "The topic is changed.", nil
}

func (s *Server) inviteCommand(r *http.Request, room chat.Room, names string) (string, error) {
	if names == "" {
		return "", wrongCommand("Say who is to be added: /invite @ada @bob")
	}
	if err := s.Rooms.Invite(r.Context(), *of(r).user, room, names); err != nil {
		return "", err
	}
	return "They are members of the room now.", nil
}
