package page

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"html/template"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/alecthomas/chroma/v2"
	chromahtml "github.com/alecthomas/chroma/v2/formatters/html"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/alecthomas/chroma/v2/styles"
	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// markup makes HTML of what people type: Markdown, but for what surprises in a chat. HTML, indented code, underlined headings
// and link definitions are text; pictures are links; line breaks stay.
type markup struct {
	markdown goldmark.Markdown
	policy   *bluemonday.Policy
	emoji    map[string]string // by short name

	seed    maphash.Seed
	lock    sync.Mutex
	tooSlow map[uint64]struct{} // hashes of messages whose code is not coloured
}

func newMarkup(emoji []byte) (*markup, error) {
	m := &markup{policy: policy(), seed: maphash.MakeSeed(), tooSlow: map[uint64]struct{}{}}
	if err := json.Unmarshal(emoji, &m.emoji); err != nil {
		return nil, fmt.Errorf("read the table of emoji: %w", err)
	}
	m.markdown = goldmark.New(
		goldmark.WithParser(parser.NewParser(
			parser.WithBlockParsers(
				util.Prioritized(parser.NewThematicBreakParser(), 200), util.Prioritized(parser.NewListParser(), 300),
				util.Prioritized(parser.NewListItemParser(), 400), util.Prioritized(parser.NewATXHeadingParser(), 600),
				util.Prioritized(parser.NewFencedCodeBlockParser(), 700), util.Prioritized(parser.NewBlockquoteParser(), 800),
				util.Prioritized(paragraphs{parser.NewParagraphParser()}, 1000)),
			parser.WithInlineParsers(
				util.Prioritized(parser.NewCodeSpanParser(), 100), util.Prioritized(parser.NewLinkParser(), 200),
				util.Prioritized(parser.NewAutoLinkParser(), 300), util.Prioritized(words{m.emoji}, 450),
				util.Prioritized(parser.NewEmphasisParser(), 500)))),
		goldmark.WithExtensions(extension.Strikethrough, extension.NewLinkify(
			extension.WithLinkifyAllowedProtocols([]string{"http:", "https:"}), extension.WithLinkifyEmailRegexp(nothing))),
		goldmark.WithRendererOptions(renderer.WithNodeRenderers(util.Prioritized(nodes{}, 100))),
	)
	return m, nil
}

// paragraphs may be indented as far as one likes; without indented code nothing else would take such a line.
type paragraphs struct{ parser.BlockParser }

// CanAcceptIndentedLine implements [parser.BlockParser].
func (paragraphs) CanAcceptIndentedLine() bool { return true }

// policy lets through what nodes makes, and nothing else, should the renderer have a fault.
func policy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "strong", "em", "del", "code", "pre", "ul", "ol", "li", "blockquote", "br", "hr")
	p.AllowAttrs("start").Matching(bluemonday.Integer).OnElements("ol")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.AllowRelativeURLs(true)
	p.AddTargetBlankToFullyQualifiedLinks(true)
	p.RequireNoFollowOnFullyQualifiedLinks(true)
	p.RequireNoReferrerOnFullyQualifiedLinks(true)
	p.AllowAttrs("class").Matching(regexp.MustCompile(`^(?:[a-z][a-z0-9-]{0,15} ?){1,3}$`)).OnElements("span", "p", "a", "pre")
	p.AllowAttrs("tabindex").Matching(regexp.MustCompile(`^0$`)).OnElements("pre")
	p.AllowAttrs("data-name").OnElements("span")
	return p
}

// nothing is what never matches.
var nothing = regexp.MustCompile(`[^\s\S]`)

// plainText reports whether the text is shown as it stands: most messages are, and it is far quicker.
func plainText(body string) bool {
	if strings.ContainsAny(body, "*_~`[>#|\\@:&") || strings.Contains(body, "www.") {
		return false
	}
	for line := range strings.Lines(body) { // a list, a rule
		if first := strings.TrimLeft(line, " \t"); first != "" && (strings.ContainsRune("-+", rune(first[0])) || first[0] >= '0' && first[0] <= '9') {
			return false
		}
	}
	return true
}

// html makes HTML of a message's text. Whatever befalls the parsers of others, the text is shown.
func (m *markup) html(body string) (made template.HTML) {
	body = strings.TrimPrefix(body, action)
	asTyped := func() template.HTML {
		return template.HTML("<p>" + template.HTMLEscapeString(body) + "</p>") //nolint:gosec // escaped
	}
	if plainText(body) {
		return asTyped()
	}
	defer func() {
		if recover() != nil {
			made = asTyped()
		}
	}()
	source := []byte(body)
	document := m.markdown.Parser().Parse(text.NewReader(source))
	m.colour(document, body)
	var out bytes.Buffer
	if err := m.markdown.Renderer().Render(&out, source, document); err != nil {
		return asTyped()
	}
	return template.HTML(strings.TrimSpace(m.policy.Sanitize(out.String()))) //nolint:gosec // sanitised
}

// action begins a message that tells what its author does.
const action = "/me "

func acts(body string) bool { return strings.HasPrefix(body, action) }

// source is the text of a message of which the page shows something else; "": it shows it.
func source(body string) string {
	if plainText(body) && !acts(body) {
		return ""
	}
	return body
}

// words are @name, #room and :emoji:, inside a text.
type words struct{ emoji map[string]string }

func (words) Trigger() []byte { return []byte{'@', '#', ':'} }

var (
	mentioned = regexp.MustCompile(`^@[\p{L}\p{N}_.-]{2,33}`)
	roomNamed = regexp.MustCompile(`^#(?:\p{N}[\p{N}-]*)?\p{L}[\p{L}\p{N}-]{0,79}`)
	shortName = regexp.MustCompile(`^:([a-z0-9_+-]{1,40}):`)
)

// Parse implements [parser.InlineParser].
func (w words) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	before := block.PrecendingCharacter()
	if unicode.IsLetter(before) || unicode.IsDigit(before) || strings.ContainsRune("_.@-/#:", before) {
		return nil
	}
	line, _ := block.PeekLine()
	switch line[0] {
	case '@':
		if name := bytes.TrimRight(mentioned.Find(line), "._-"); len(name) > 2 {
			block.Advance(len(name))
			return &word{class: "at", name: string(name[1:]), text: string(name)}
		}
	case '#':
		if name := bytes.TrimRight(roomNamed.Find(line), "-"); len(name) > 1 {
			block.Advance(len(name))
			return &word{class: "room-link", name: string(name[1:]), text: string(name)}
		}
	case ':':
		if found := shortName.FindSubmatch(line); found != nil {
			if emoji, known := w.emoji[string(found[1])]; known {
				block.Advance(len(found[0]))
				return &word{text: emoji}
			}
		}
	}
	return nil
}

// word is something inside a text that is more than text.
type word struct {
	ast.BaseInline
	class, name, text string
}

var wordKind = ast.NewNodeKind("Word")

// Kind implements [ast.Node].
func (*word) Kind() ast.NodeKind { return wordKind }

// Dump implements [ast.Node].
func (w *word) Dump(source []byte, level int) {
	ast.DumpHelper(w, source, level, map[string]string{"text": w.text}, nil)
}

// nodes renders what differs from goldmark's way.
type nodes struct{}

// RegisterFuncs implements [renderer.NodeRenderer].
func (nodes) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(wordKind, func(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch x := n.(*word); x.class { //nolint:forcetypeassert // of this kind
		case "at":
			_, _ = fmt.Fprintf(w, `<span class="at" data-name="%s">%s</span>`, template.HTMLEscapeString(x.name), template.HTMLEscapeString(x.text))
		case "room-link":
			_, _ = fmt.Fprintf(w, `<a class="room-link" href="/rooms/%s">%s</a>`, template.HTMLEscapeString(strings.ToLower(x.name)), template.HTMLEscapeString(x.text))
		default:
			_, _ = w.WriteString(x.text)
		}
		return ast.WalkContinue, nil
	})
	// A line break is one, and the style sheet keeps it.
	r.Register(ast.KindText, func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			t := n.(*ast.Text) //nolint:forcetypeassert // of this kind
			html.DefaultWriter.Write(w, t.Segment.Value(source))
			if t.SoftLineBreak() || t.HardLineBreak() {
				_ = w.WriteByte('\n')
			}
		}
		return ast.WalkContinue, nil
	})
	r.Register(ast.KindHeading, func(w util.BufWriter, _ []byte, _ ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			_, _ = w.WriteString(`<p class="heading">`)
		} else {
			_, _ = w.WriteString("</p>\n")
		}
		return ast.WalkContinue, nil
	})
	r.Register(ast.KindImage, func(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			_, _ = fmt.Fprintf(w, `<a href="%s">`, util.EscapeHTML(util.URLEscape(n.(*ast.Image).Destination, true))) //nolint:forcetypeassert // of this kind
		} else {
			_, _ = w.WriteString("</a>")
		}
		return ast.WalkContinue, nil
	})
	r.Register(ast.KindFencedCodeBlock, renderCode)
}

// coloured is the attribute of a code block that holds its HTML.
const coloured = "coloured"

func renderCode(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
	if !entering {
		return ast.WalkContinue, nil
	}
	_, _ = w.WriteString(`<pre class="code" tabindex="0"><code>`)
	if made, is := n.AttributeString(coloured); is {
		_, _ = w.Write(made.([]byte)) //nolint:forcetypeassert // colour put it there
	} else {
		_, _ = w.WriteString(template.HTMLEscapeString(string(n.Lines().Value(source))))
	}
	_, _ = w.WriteString("</code></pre>\n")
	return ast.WalkSkipChildren, nil
}

// Some of chroma's languages take exponential time for texts made for it.
const (
	colourWithin = 20 * time.Millisecond // for all code of a message; a token more may take chroma's own 250 ms
	mostTooSlow  = 10_000                // messages that are remembered, 8 bytes each
)

// colour colours the code blocks, unless that takes too long: then the rest is shown without, and the whole message from the next time on.
func (m *markup) colour(document ast.Node, body string) {
	key := maphash.String(m.seed, body)
	m.lock.Lock()
	_, slow := m.tooSlow[key]
	m.lock.Unlock()
	if slow {
		return
	}
	left := colourWithin
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // its error is one of ours, and we have none
		block, is := n.(*ast.FencedCodeBlock)
		if !is || !entering {
			return ast.WalkContinue, nil
		}
		lexer := lexers.Get(string(block.Language([]byte(body))))
		if lexer == nil {
			return ast.WalkContinue, nil
		}
		html, took, err := highlight(lexer, string(block.Lines().Value([]byte(body))), left)
		if err == nil {
			block.SetAttributeString(coloured, html)
		}
		if left -= took; left > 0 {
			return ast.WalkContinue, nil
		}
		m.lock.Lock()
		defer m.lock.Unlock()
		if len(m.tooSlow) >= mostTooSlow {
			clear(m.tooSlow)
		}
		m.tooSlow[key] = struct{}{}
		return ast.WalkStop, nil
	})
}

// formatter writes classes; css/markup.css has their colours.
var formatter = chromahtml.New(chromahtml.WithClasses(true), chromahtml.PreventSurroundingPre(true))

var errTooSlow = errors.New("colouring takes too long")

// highlight makes HTML of code. Some languages of chroma's panic at some texts.
func highlight(lexer chroma.Lexer, code string, within time.Duration) (html []byte, took time.Duration, err error) {
	began := time.Now()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("read the code: %v", r)
		}
		took = time.Since(began)
	}()
	_, _ = lexer.Tokenise(nil, "") // a language's first use compiles its rules, which is not the code's fault
	began = time.Now()
	next, err := chroma.Coalesce(lexer).Tokenise(nil, code)
	if err != nil {
		return nil, 0, fmt.Errorf("read the code: %w", err)
	}
	var tokens []chroma.Token
	for token := next(); token != chroma.EOF; token = next() {
		if time.Since(began) > within {
			return nil, 0, errTooSlow
		}
		tokens = append(tokens, token)
	}
	var out bytes.Buffer
	err = formatter.Format(&out, styles.Fallback, chroma.Literator(tokens...))
	return out.Bytes(), 0, err
}
