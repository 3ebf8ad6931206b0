package chat

import (
	"strings"
	"testing"
)

func TestNamesHaveNoInvisibleCharacters(t *testing.T) {
	for name, want := range map[string]string{
		"a": "", "Gräfin & Söhne": "", "👩\u200d💻 team": "", "❤\ufe0f\u200d🔥": "", "👩🏽\u200d🚀": "",
		"a\u200b": "U+200B", "a\u200db": "U+200D", "\u202eabc": "U+202E", "👩\u200d": "U+200D", "so\u00adft": "U+00AD",
	} {
		_, err := checkLine("name", "room name", name, MaxRoomName)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
}

func TestAWrongCharacterInAUserNameIsNamedAsPeopleDo(t *testing.T) {
	for name, want := range map[string]string{"a b": "a space is none", "a/b": `"/" is none`, "a\u200bb": "U+200B is none"} {
		if _, err := checkUserName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
}
