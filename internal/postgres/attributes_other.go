//go:build !linux

package postgres

import "syscall"

// attributes are those of the cluster's processes.
func (c *Cluster) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: c.credential, Setpgid: true}
}
