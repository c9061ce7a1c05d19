package model

import "strings"

// Heartbeat tells of a gateway node whether its own datapath and the processes
// on it are alive. It is known within seconds, while a Node's Ready takes most of a
// minute. A node without one is judged by Ready alone.
type Heartbeat struct {
	Meta
	Lost bool
}

// A gateway node shows that it lives by renewing a Lease (coordination.k8s.io/v1)
// of its own, whose name is [HeartbeatLease] and whose holder is the node.
const (
	// HeartbeatSeconds is the Lease's duration in seconds while the node renews
	// it once a second: so many renewals of another node may be seen before
	// this one is taken for lost.
	HeartbeatSeconds = 4
	// HeartbeatStoppedSeconds is the duration that a node writes when its
	// cniserver ends in order: its datapath goes on working, and the next one starts soon.
	HeartbeatStoppedSeconds = 60

	// HeartbeatNamespace has these Leases and no others: RBAC cannot limit names to a
	// form, and no node shall be able to write the Lease of a leader.
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
