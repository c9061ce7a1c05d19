// SPDX-License-Identifier: Apache-2.0

package model

import "strings"

// Heartbeat is the state of a gateway node's own datapath and processes. It is known within seconds, while a Node's
// Ready takes most of a minute. A node without one is judged by Ready alone.
type Heartbeat struct {
	Meta
	Lost bool
}

// A gateway node sends a heartbeat by renewing a Lease (coordination.k8s.io/v1) of its own, whose name is
// [HeartbeatLease] and whose holder is the node.
const (
	// HeartbeatSeconds is the Lease's duration in seconds while the node renews it once a second: the node is
	// considered lost once another node's Lease was renewed that many times without a renewal of this one.
	HeartbeatSeconds = 4
	// HeartbeatStoppedSeconds is the duration that a node writes when its cniserver exits in order: its datapath
	// continues to work, and the next one starts soon.
	HeartbeatStoppedSeconds = 60

	// HeartbeatNamespace contains only these Leases: RBAC cannot restrict names to a pattern, and no node may write the
	// Lease of a leader.
	HeartbeatNamespace = "woven-gateways"

	heartbeatPrefix = "woven-gateway-"
)

// HeartbeatLease is the name of a node's Lease.
func HeartbeatLease(node string) string { return heartbeatPrefix + node }

// HeartbeatNode reverses [HeartbeatLease]; ok is false for the name of another Lease.
func HeartbeatNode(lease string) (node string, ok bool) {
	node, ok = strings.CutPrefix(lease, heartbeatPrefix)
	return node, ok && node != ""
}
