// Package sandbox runs a whole Kubernetes cluster with OVN on one Linux machine: etcd, the control plane, OVN's central
// databases and N nodes, each a set of Linux namespaces with its own containerd, kubelet, Open vSwitch (userspace datapath, so
// that no kernel module is needed) and ovn-controller. Geneve runs between the nodes over a bridge. Real pods, real packets.
//
// Everything that runs is held by a few capsules. A capsule is one process tree in namespaces of its own, whose pid 1 is this
// program again (see RunInit): it mounts, starts and supervises what a declarative CapsuleSpec names. Killing that one process
// ends everything in the capsule, together with its network namespace and its mounts, so nothing has to be unmounted or
// unplugged, and a half-started cluster is cleaned up exactly like a complete one.
//
// What to run is decided by pure functions (plan.go, kubernetes.go, ovn.go, woven.go, pki.go); up.go and down.go act.
package sandbox
