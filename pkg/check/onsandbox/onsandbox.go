// SPDX-License-Identifier: Apache-2.0

// Package onsandbox provides the sources of package check for a sandbox.
package onsandbox

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/wovensdn/woven/pkg/check"
	"github.com/wovensdn/woven/pkg/sandbox"
)

// Hosts reads the nodes of a sandbox; stopped nodes are skipped.
func Hosts(cluster *sandbox.Cluster) check.Hosts {
	return check.ExecHosts(func(ctx context.Context, node string, argv ...string) (string, error) {
		for n := 1; n <= cluster.Nodes(); n++ {
			if sandbox.NodeName(n) != node {
				continue
			}
			if _, err := cluster.NodeCommand(n, argv...); err != nil {
				return "", fmt.Errorf("%w: %w", check.ErrNotReadable, err)
			}
			return cluster.NodeExec(ctx, n, argv...)
		}
		return "", fmt.Errorf("%w: %s is not a node of sandbox %s", check.ErrNotReadable, node, cluster.Name())
	})
}

// Databases are the endpoints of a sandbox's northbound and southbound database, reachable from anywhere on the
// machine.
func Databases(cluster *sandbox.Cluster) (nb, sb string) {
	run := filepath.Join(cluster.Plan().Paths.Capsule("control"), "own", "run", "ovn")
	return "unix:" + filepath.Join(run, "ovnnb_db.sock"), "unix:" + filepath.Join(run, "ovnsb_db.sock")
}
