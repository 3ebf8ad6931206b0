package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker; see the Makefile.
var version = "dev"

// givenCommit is set by the linker, since the toolchain knows none under -buildvcs=false.
var givenCommit string

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintf(p.out, "pgchat %s (commit %s, %s)\n", version, commit(), runtime.Version())
	return err
}

// commit is the Makefile's, else what the Go toolchain wrote into the binary.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return commitOf(givenCommit, info.Settings)
}

// commitOf shortens the commit that was given, or else that of the build; "unknown" where git was asked by neither.
func commitOf(given string, settings []debug.BuildSetting) string {
	id, dirty := given, ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision" && given == "":
			id = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", modified"
		}
	}
	if id == "" {
		return "unknown"
	}
	return id[:min(12, len(id))] + dirty
}
