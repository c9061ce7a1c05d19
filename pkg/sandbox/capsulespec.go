// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"maps"
	"slices"
)

// CapsuleSpec describes what pid 1 of a capsule creates and runs. It is plain data: its writer decides, RunCapsule
// acts.
type CapsuleSpec struct {
	Name     string            `json:"name"`
	Hostname string            `json:"hostname"`
	Path     string            `json:"path"`   // PATH of everything in the capsule
	Root     string            `json:"root"`   // the Debian root for services with Chroot
	Status   string            `json:"status"` // file that Status is written to
	LogDir   string            `json:"logDir"`
	Mounts   []Mount           `json:"mounts"`
	Sysctls  map[string]string `json:"sysctls"` // path below /proc/sys → value; missing ones are skipped
	Services []Service         `json:"services"`
}

// MountKind is the kind of a Mount.
type MountKind string

// Kinds of mounts.
const (
	MountBind   MountKind = "bind"   // Source, a directory or file outside, appears at Target; either is created if missing
	MountProc   MountKind = "proc"   // a procfs of the capsule's pid namespace
	MountSys    MountKind = "sysfs"  // a sysfs of the capsule's network namespace
	MountTmpfs  MountKind = "tmpfs"  // an empty tmpfs
	MountCgroup MountKind = "cgroup" // a cgroup v1 hierarchy; Source is its controller list or "name=…"
	// MountCgroup2 is the v2 hierarchy, rooted at the capsule's own cgroup; its controllers are enabled in children.
	MountCgroup2 MountKind = "cgroup2"
	MountShared  MountKind = "shared" // Target and all below it get shared propagation, so that mounts of containers propagate
	MountSymlink MountKind = "symlink"
)

// Mount is one step in creating the capsule's file system. Steps run in order.
type Mount struct {
	Kind   MountKind `json:"kind"`
	Source string    `json:"source,omitempty"`
	Target string    `json:"target"`
}

// Service is a program that pid 1 restarts whenever it exits.
type Service struct {
	Name   string   `json:"name"`
	Argv   []string `json:"argv"`
	Env    []string `json:"env,omitempty"`
	Chroot bool     `json:"chroot,omitempty"` // run inside Root
	After  []string `json:"after,omitempty"`  // services that must have been ready once
	Gate   string   `json:"gate,omitempty"`   // file that must exist before the first start
	Before []Hook   `json:"before,omitempty"` // run before each start
	Ready  Probe    `json:"ready"`            // when it counts as ready
	Then   []Hook   `json:"then,omitempty"`   // run after each start, once ready
}

// Hook is a short command around the start of a service. A failing hook is retried until it succeeds.
type Hook struct {
	Argv   []string `json:"argv"`
	Chroot bool     `json:"chroot,omitempty"`
	Unless string   `json:"unless,omitempty"` // skipped if this file exists
	Once   bool     `json:"once,omitempty"`   // only around the first start
}

// Probe decides when a service is ready: at once, when its unix socket accepts, or when its URL returns status 200.
type Probe struct {
	Unix string `json:"unix,omitempty"`
	URL  string `json:"url,omitempty"`
	CA   string `json:"ca,omitempty"` // file with the CA of URL
}

// CapsuleStatus is what pid 1 of a capsule publishes.
type CapsuleStatus struct {
	Services map[string]ServiceStatus `json:"services"`
}

// ServiceStatus is the state of one service.
type ServiceStatus struct {
	PID    int    `json:"pid"`    // inside the capsule's pid namespace; 0 when not running
	Starts int    `json:"starts"` // number of starts
	Ready  bool   `json:"ready"`
	Note   string `json:"note,omitempty"` // why it is not running or not ready
}

// Names are the services in alphabetical order.
func (s CapsuleStatus) Names() []string { return slices.Sorted(maps.Keys(s.Services)) }
