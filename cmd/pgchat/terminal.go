package main

import (
	"os"

	"golang.org/x/term"
)

// isTerminal reports whether a stream of the program's is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colourful reports whether a stream is a terminal whose user wants colours (https://no-color.org).
func colourful(stream any) bool {
	return isTerminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
