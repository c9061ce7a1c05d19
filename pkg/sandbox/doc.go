// SPDX-License-Identifier: Apache-2.0

// Package sandbox runs a whole Kubernetes cluster with OVN on one Linux machine: etcd, the control plane, OVN's central
// databases and N nodes. A node is a set of Linux namespaces with its own containerd, kubelet, ovn-controller and Open
// vSwitch (userspace datapath, so that no kernel module is needed). Geneve runs between the nodes over a bridge. Real
// pods, real packets.
//
// All processes run in a few capsules. A capsule is one process tree in namespaces of its own. Its pid 1 is this
// program again (see RunCapsule): it mounts, starts and supervises what a declarative CapsuleSpec names. Killing pid 1
// ends every process of the capsule, its network namespace and its mounts. So nothing has to be unmounted or
// disconnected, and a partly started cluster is cleaned up exactly like a complete one.
//
// What to run is decided by pure functions (plan.go, kubernetes.go, ovn.go, woven.go, pki.go); up.go and down.go act.
package sandbox
