// Package top shows what the database says of the chat as a whole: its servers, its busiest rooms, its sessions and its queue of
// notifications; live in a terminal, or once. Each look is one statement, the next is taken a moment after its answer, and rates are
// differences of the rooms' counters over the looks of the last ten seconds.
//
// [Source] asks, [Model] is bubbletea's: what is shown depends on what it was sent alone.
package top
