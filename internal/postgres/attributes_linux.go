package postgres

import "syscall"

// capDACOverride lets a process pass folders that are closed to its user.
const capDACOverride = 1

// attributes are those of the cluster's processes. Below a folder such as /root, which its user may not pass, PostgreSQL
// is given the one capability to do so.
func (c *Cluster) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Credential: c.credential, Setpgid: true}
	if c.reach {
		attr.AmbientCaps = []uintptr{capDACOverride}
	}
	return attr
}
