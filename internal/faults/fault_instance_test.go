package faults

import (
	"context"
	"math/rand/v2"
	"syscall"
)

// instanceKilled is `kill -9` of an instance; its supervisor starts it again.
type instanceKilled struct{ w *world }

func (f *instanceKilled) Break(_ context.Context, random *rand.Rand) {
	f.w.instances[random.IntN(len(f.w.instances))].signal(syscall.SIGKILL)
}
func (f *instanceKilled) Mend(context.Context) {}

// instanceRestarted ends an instance as a deployment does.
type instanceRestarted struct{ w *world }

func (f *instanceRestarted) Break(_ context.Context, random *rand.Rand) {
	f.w.instances[random.IntN(len(f.w.instances))].signal(syscall.SIGTERM)
}
func (f *instanceRestarted) Mend(context.Context) {}

// instanceFrozen stops an instance's process for a while, as a virtual machine that is moved: it wakes up with a past
// view of everything, and its lease may have ended.
type instanceFrozen struct {
	w      *world
	victim *instance
}

func (f *instanceFrozen) Break(_ context.Context, random *rand.Rand) {
	f.victim = f.w.instances[random.IntN(len(f.w.instances))]
	f.victim.signal(syscall.SIGSTOP)
}
func (f *instanceFrozen) Mend(context.Context) { f.victim.signal(syscall.SIGCONT) }
