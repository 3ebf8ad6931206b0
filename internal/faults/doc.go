// Package faults holds no code but tests: they drive real `pgchat serve` processes on a PostgreSQL of their own, break
// what they stand on, and check one law. Every acknowledged message reaches every member that stays or returns, exactly
// once, in the order of seq, with its content as stored; no message that was refused appears; seq has no gap.
//
// A world has a PostgreSQL, instances under a supervisor, toxiproxies before both, and members: clients of pgchat.v1 that
// post, read, leave and come back, and keep a ledger. Faults break one thing and mend it; which, when and for how long
// is drawn from a seed that is printed. docs/reliability.md says how to run it and what was run.
package faults
