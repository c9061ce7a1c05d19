package sandbox

import (
	"maps"
	"slices"
)

// CapsuleSpec says what pid 1 of a capsule makes and runs. It is plain data: whoever writes it decides, RunInit acts.
type CapsuleSpec struct {
	Name     string            `json:"name"`
	Hostname string            `json:"hostname"`
	Path     string            `json:"path"`   // PATH of everything in the capsule
	Root     string            `json:"root"`   // the Debian root for services with Chroot
	Status   string            `json:"status"` // file that Status is written to
	LogDir   string            `json:"logDir"`
	Mounts   []Mount           `json:"mounts"`
	Sysctls  map[string]string `json:"sysctls"` // path below /proc/sys → value; those that do not exist here are passed over
	Services []Service         `json:"services"`
}

// MountKind says how a Mount is made.
type MountKind string

// Kinds of mounts.
const (
	MountBind   MountKind = "bind"   // Source, a directory or file outside, appears at Target; both are made if they are not there
	MountProc   MountKind = "proc"   // a procfs of the capsule's pid namespace
	MountSys    MountKind = "sysfs"  // a sysfs of the capsule's network namespace
	MountTmpfs  MountKind = "tmpfs"  // an empty tmpfs
	MountCgroup MountKind = "cgroup" // a cgroup v1 hierarchy; Source is its controller list or "name=…"
	// MountCgroup2 is the v2 hierarchy, rooted at the capsule's own cgroup; its controllers are passed on to children.
	MountCgroup2 MountKind = "cgroup2"
	MountShared  MountKind = "shared" // Target and all below it become shared, so that mounts of containers propagate
	MountSymlink MountKind = "symlink"
)

// Mount is one step of making the capsule's file system, in order.
type Mount struct {
	Kind   MountKind `json:"kind"`
	Source string    `json:"source,omitempty"`
	Target string    `json:"target"`
}

// Service is a program that pid 1 keeps running: it is started again whenever it ends.
type Service struct {
	Name   string   `json:"name"`
	Argv   []string `json:"argv"`
	Env    []string `json:"env,omitempty"`
	Chroot bool     `json:"chroot,omitempty"` // run inside Root
	After  []string `json:"after,omitempty"`  // services that must have become ready once
	Gate   string   `json:"gate,omitempty"`   // file that must exist before the first start
	Before []Hook   `json:"before,omitempty"` // run before each start
	Ready  Probe    `json:"ready"`            // when it counts as ready
	Then   []Hook   `json:"then,omitempty"`   // run after each start, once ready
}

// Hook is a short command around the start of a service. A failing hook is tried again until it succeeds.
type Hook struct {
	Argv   []string `json:"argv"`
	Chroot bool     `json:"chroot,omitempty"`
	Unless string   `json:"unless,omitempty"` // nothing is done if this file exists
	Once   bool     `json:"once,omitempty"`   // only around the first start
}

// Probe tells when a service is ready: at once, when its unix socket accepts, or when its URL answers 200.
type Probe struct {
	Unix string `json:"unix,omitempty"`
	URL  string `json:"url,omitempty"`
	CA   string `json:"ca,omitempty"` // file of the authority for URL
}

// CapsuleStatus is what pid 1 of a capsule writes for others to read.
type CapsuleStatus struct {
	Services map[string]ServiceStatus `json:"services"`
}

// ServiceStatus is the state of one service.
type ServiceStatus struct {
	PID    int    `json:"pid"`    // inside the capsule's pid namespace; 0 when not running
	Starts int    `json:"starts"` // how often it was started
	Ready  bool   `json:"ready"`
	Note   string `json:"note,omitempty"` // why it is not running or not ready
}

// Names are the services in alphabetical order.
func (s CapsuleStatus) Names() []string { return slices.Sorted(maps.Keys(s.Services)) }
