// SPDX-License-Identifier: Apache-2.0

package nbtest

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// appctlTimeout bounds a command to a server that may be paused.
const appctlTimeout = 2 * time.Second

// Cluster is a northbound database on several servers (RAFT, ovsdb(7)).
type Cluster struct {
	Servers []*Server
	t       testing.TB
}

// StartCluster runs a cluster of n servers that have all joined, with the NB_Global row.
func StartCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for i := range n {
		s := newServer(t, kindNB)
		raft := "unix:" + s.path("raft")
		if i == 0 {
			s.tool("create-cluster", s.path("db"), s.path("schema"), raft)
		} else {
			first := "unix:" + c.Servers[0].path("raft")
			s.tool("join-cluster", s.path("db"), s.kind.database.String(), raft, first)
		}
		s.Restart()
		c.Servers = append(c.Servers, s)
		s.eventually("server does not join the cluster", func() bool {
			return strings.Contains(s.clusterStatus(), "Status: cluster member")
		})
	}
	c.Servers[0].insertRoot(c.Endpoints()...)
	return c
}

// Endpoints returns the endpoints of all servers.
func (c *Cluster) Endpoints() []string {
	endpoints := make([]string, 0, len(c.Servers))
	for _, s := range c.Servers {
		endpoints = append(endpoints, s.Endpoint())
	}
	return endpoints
}

// Leader waits until one of the running servers is the leader and returns its index. A paused leader does not reply, so
// it does not count. A resumed one may for a moment still consider itself the leader.
func (c *Cluster) Leader() int {
	c.t.Helper()
	leader := -1
	c.Servers[0].eventually("the cluster has no leader", func() bool {
		for i, s := range c.Servers {
			if s.PID() != 0 && strings.Contains(s.clusterStatus(), "Role: leader") {
				leader = i
				return true
			}
		}
		return false
	})
	return leader
}

// clusterStatus returns the output of cluster/status (ovsdb-server(1)), empty without a reply.
func (s *Server) clusterStatus() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), appctlTimeout)
	defer cancel()
	//nolint:gosec // a test's own paths
	out, err := exec.CommandContext(ctx, find(s.t, "ovs-appctl"), "-t", s.path("ctl"),
		"cluster/status", s.kind.database.String()).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// TransferLeader makes the leader transfer leadership to another server.
func (c *Cluster) TransferLeader() {
	c.t.Helper()
	old := c.Servers[c.Leader()]
	ctx, cancel := context.WithTimeout(c.t.Context(), appctlTimeout)
	defer cancel()
	//nolint:gosec // a test's own paths
	out, err := exec.CommandContext(ctx, find(c.t, "ovs-appctl"), "-t", old.path("ctl"),
		"cluster/failure-test", "transfer-leadership").CombinedOutput()
	if err != nil {
		c.t.Fatalf("transfer leadership: %v\n%s", err, out)
	}
	old.eventually("the leader does not transfer leadership", func() bool {
		return !strings.Contains(old.clusterStatus(), "Role: leader")
	})
}
