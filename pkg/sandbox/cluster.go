// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cluster is a running sandbox.
type Cluster struct {
	state *State
}

// Open returns the running sandbox called name.
func Open(home Home, name string) (*Cluster, error) {
	if err := ValidateName(name); err != nil {
		return nil, err
	}
	state, err := readState(home.paths(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no sandbox %q: start one with `woven-sandbox up --name %s`", name, name)
	}
	if err != nil {
		return nil, err
	}
	if !state.alive() {
		return nil, fmt.Errorf("sandbox %q is not running: start it with `woven-sandbox up --name %s`", name, name)
	}
	return newCluster(state), nil
}

func newCluster(state *State) *Cluster { return &Cluster{state: state} }

// Plan is what the sandbox was started from.
func (c *Cluster) Plan() Plan { return c.state.Plan }

// Name of the sandbox.
func (c *Cluster) Name() string { return c.state.Plan.Paths.Name }

// Nodes is the number of nodes. They are numbered from 1.
func (c *Cluster) Nodes() int { return c.state.Plan.Nodes }

// Kubeconfig is the administrator's kubeconfig; its server is reachable inside the control plane's network namespace.
func (c *Cluster) Kubeconfig() string { return c.state.Plan.Paths.Kubeconfig() }

// LogFile is the log of a service; node is 0 for the control plane.
func (c *Cluster) LogFile(service string, node int) string {
	return c.state.Plan.Paths.log(capsuleOf(node), service)
}

func capsuleOf(node int) string {
	if node == 0 {
		return controlCapsule
	}
	return NodeName(node)
}

// process is pid 1 of a capsule.
func (c *Cluster) process(capsule string) (Process, error) {
	process, ok := c.state.Capsules[capsule]
	if !ok {
		return Process{}, fmt.Errorf("sandbox %s has no %s: its nodes are 1 to %d", c.Name(), capsule, c.Nodes())
	}
	if !process.Alive() {
		return Process{}, fmt.Errorf("%s of sandbox %s is not running", capsule, c.Name())
	}
	return process, nil
}

// command is the full command line that runs argv in all namespaces of a capsule. A program of OVN or Open vSwitch, or
// one that only the Debian root has, runs inside that root.
func (c *Cluster) command(capsule string, argv []string) ([]string, error) {
	if len(argv) == 0 {
		return nil, errors.New("no command given")
	}
	process, err := c.process(capsule)
	if err != nil {
		return nil, err
	}
	enter := []string{
		"nsenter", "--target=" + strconv.Itoa(process.PID), "--root", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--",
		"env", "PATH=" + c.state.Plan.capsule(capsule, "").Path,
	}
	if c.fromRoot(argv[0]) {
		enter = append(enter, "chroot", c.state.Plan.Artifacts.Root)
	}
	return append(enter, argv...), nil
}

func (c *Cluster) fromRoot(program string) bool {
	for _, prefix := range []string{"ovs-", "ovn-", "ovsdb-"} {
		if strings.HasPrefix(program, prefix) {
			return true
		}
	}
	if strings.ContainsRune(program, '/') || present(program) {
		return false
	}
	return lookIn(c.state.Plan.Artifacts.Root, program) != program
}

// NodeCommand is the command line that runs argv inside node n, for callers that execute it themselves.
func (c *Cluster) NodeCommand(n int, argv ...string) ([]string, error) {
	return c.command(NodeName(n), argv)
}

// OutsideCommand is the command line that runs argv on the outside host.
func (c *Cluster) OutsideCommand(argv ...string) ([]string, error) {
	return c.command(outsideCapsule, argv)
}

// NBCommand is the command line of ovn-nbctl on the sandbox's northbound database.
func (c *Cluster) NBCommand(args ...string) ([]string, error) {
	return c.command(controlCapsule, append([]string{"ovn-nbctl", "--db=unix:" + nbSocket}, args...))
}

// SBCommand is the command line of ovn-sbctl on the sandbox's southbound database.
func (c *Cluster) SBCommand(args ...string) ([]string, error) {
	return c.command(controlCapsule, append([]string{"ovn-sbctl", "--db=unix:" + sbSocket}, args...))
}

// VSCommand is the command line of ovs-vsctl on node n.
func (c *Cluster) VSCommand(n int, args ...string) ([]string, error) {
	return c.command(NodeName(n), append([]string{"ovs-vsctl"}, args...))
}

// ControlCommand is the command line that runs argv in the control plane's network namespace and the caller's mount
// namespace: it sees the caller's files, and reaches the API server, nodes and pods.
func (c *Cluster) ControlCommand(argv ...string) ([]string, error) {
	process, err := c.process(controlCapsule)
	if err != nil {
		return nil, err
	}
	return append([]string{"nsenter", "--net=" + process.netnsPath(), "--"}, argv...), nil
}

// KubectlCommand is kubectl as administrator. It sees the caller's files and the sandbox's network.
func (c *Cluster) KubectlCommand(args ...string) ([]string, error) {
	// All sandboxes have the same API server address, so a shared discovery cache would mix them up.
	cache := filepath.Join(c.state.Plan.Paths.Dir(), "kubectl-cache")
	kubectl := filepath.Join(c.state.Plan.Artifacts.Kubernetes, "kubectl")
	return c.ControlCommand(append([]string{kubectl, "--kubeconfig=" + c.Kubeconfig(), "--cache-dir=" + cache}, args...)...)
}

// NodeExec runs argv inside node n and returns its standard output.
func (c *Cluster) NodeExec(ctx context.Context, n int, argv ...string) (string, error) {
	return runFor(ctx)(c.NodeCommand(n, argv...))
}

// OutsideExec runs argv on the outside host and returns its standard output.
func (c *Cluster) OutsideExec(ctx context.Context, argv ...string) (string, error) {
	return runFor(ctx)(c.OutsideCommand(argv...))
}

// NBCtl runs ovn-nbctl and returns its standard output.
func (c *Cluster) NBCtl(ctx context.Context, args ...string) (string, error) {
	return runFor(ctx)(c.NBCommand(args...))
}

// SBCtl runs ovn-sbctl and returns its standard output.
func (c *Cluster) SBCtl(ctx context.Context, args ...string) (string, error) {
	return runFor(ctx)(c.SBCommand(args...))
}

// VSCtl runs ovs-vsctl on node n and returns its standard output.
func (c *Cluster) VSCtl(ctx context.Context, n int, args ...string) (string, error) {
	return runFor(ctx)(c.VSCommand(n, args...))
}

// Kubectl runs kubectl as administrator and returns its standard output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return runFor(ctx)(c.KubectlCommand(args...))
}

// runFor runs a command line and returns its standard output. Its error includes standard error.
func runFor(ctx context.Context) func([]string, error) (string, error) {
	return func(argv []string, err error) (string, error) {
		if err != nil {
			return "", err
		}
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) // #nosec G204 -- the caller is root
		cmd.WaitDelay = time.Second
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return stdout.String(), fmt.Errorf("run %s: %w: %s", shown(argv), err, strings.TrimSpace(stderr.String()))
		}
		return stdout.String(), nil
	}
}

// shown is a command line without the prefix that enters the namespaces.
func shown(argv []string) string {
	for i, arg := range argv {
		if strings.HasPrefix(arg, "PATH=") {
			return strings.Join(argv[i+1:], " ")
		}
	}
	return strings.Join(argv, " ")
}

// Status returns the state of the services of a capsule; node is 0 for the control plane.
func (c *Cluster) Status(node int) (CapsuleStatus, error) {
	return readStatus(c.state.Plan.Paths.statusFile(capsuleOf(node)))
}

// PID returns the process of a service in the host's pid namespace; node is 0 for the control plane.
func (c *Cluster) PID(service string, node int) (int, error) {
	process, err := c.process(capsuleOf(node))
	if err != nil {
		return 0, err
	}
	status, err := c.Status(node)
	if err != nil {
		return 0, err
	}
	entry, ok := status.Services[service]
	if !ok {
		return 0, fmt.Errorf("%s has no service %q", capsuleOf(node), service)
	}
	if entry.PID == 0 {
		return 0, fmt.Errorf("service %s of %s is not running: %s", service, capsuleOf(node), entry.Note)
	}
	return hostPID(process.PID, entry.PID)
}

// hostPID finds the child of a capsule's pid 1 that has pid inner inside the capsule.
func hostPID(init, inner int) (int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", init))
	if err != nil {
		return 0, fmt.Errorf("list the capsule's processes: %w", err)
	}
	for _, file := range files {
		children, err := os.ReadFile(file) // #nosec G304 -- a kernel file
		if err != nil {
			continue // a thread that has just exited
		}
		for _, child := range strings.Fields(string(children)) {
			status, err := os.ReadFile(filepath.Join("/proc", child, "status")) // #nosec G304 G703 -- a kernel file
			if err != nil || innerPID(status) != inner {
				continue
			}
			pid, err := strconv.Atoi(child)
			return pid, wrap(err, "parse a pid")
		}
	}
	return 0, fmt.Errorf("process %d of the capsule has just exited", inner)
}

// innerPID reads the pid in the innermost namespace from /proc/<pid>/status (NSpid in proc(5)).
func innerPID(status []byte) int {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(rest)
			if len(fields) == 0 {
				return 0
			}
			pid, _ := strconv.Atoi(fields[len(fields)-1])
			return pid
		}
	}
	return 0
}

// Kill sends a signal to a service; its supervisor restarts it.
func (c *Cluster) Kill(service string, node int, signal syscall.Signal) error {
	pid, err := c.PID(service, node)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil {
		return fmt.Errorf("signal %s of %s: %w", service, capsuleOf(node), err)
	}
	return nil
}

// restartGrace is how long a service has to exit after SIGTERM.
const restartGrace = 10 * time.Second

// Restart sends SIGTERM to a service (SIGKILL after 10 s) and waits until its supervisor has restarted it and it is
// ready.
func (c *Cluster) Restart(ctx context.Context, service string, node int) error {
	before, err := c.Status(node)
	if err != nil {
		return err
	}
	if service == svcCNIServer && node > 0 {
		if err := installCNI(c.state.Plan, node); err != nil {
			return err
		}
	}
	starts := before.Services[service].Starts
	again := func() bool {
		now, err := c.Status(node)
		return err == nil && now.Services[service].Starts > starts && now.Services[service].Ready
	}
	if err := c.Kill(service, node, syscall.SIGTERM); err != nil {
		return err
	}
	gentle, cancel := context.WithTimeout(ctx, restartGrace)
	defer cancel()
	if waitUntil(gentle, probeInterval, again) == nil {
		return nil
	}
	if now, err := c.Status(node); err == nil && now.Services[service].Starts == starts {
		if err := c.Kill(service, node, syscall.SIGKILL); err != nil {
			return err
		}
	}
	if err := waitUntil(ctx, probeInterval, again); err != nil {
		return fmt.Errorf("wait for %s of %s to be ready again: %w", service, capsuleOf(node), err)
	}
	return nil
}
