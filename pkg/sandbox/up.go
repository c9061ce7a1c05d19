// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Options are the user's choices for a sandbox.
type Options struct {
	Name      string
	Nodes     int
	DualStack bool
	Dev       bool   // also run Woven's own programs, found in the directory of this one
	KubeProxy string // one of the KubeProxy modes
	DNS       bool   // with Dev: run CoreDNS
	OVNDNS    bool   // with Dev: OVN resolves the names of Services
	Source    string // root of Woven's source tree; defaults to FindSource
	Exe       string // the woven-sandbox program; defaults to this program
}

// Up builds what is missing and starts a sandbox. It returns once all nodes have registered, and with Dev once all are
// Ready. It first removes what an unfinished Up of the same name left.
func Up(ctx context.Context, home Home, o Options, progress *Progress, now func() time.Time) (*Cluster, error) {
	if err := ValidateName(o.Name); err != nil {
		return nil, err
	}
	paths := home.paths(o.Name)
	plan, err := makePlan(paths, o)
	if err != nil {
		return nil, err
	}
	lock, err := acquire(ctx, home.lockFile("sandbox-"+o.Name), func() { progress.Say("waiting for another command on sandbox %s", o.Name) })
	if err != nil {
		return nil, err
	}
	defer lock.release()
	if err := clearTheWay(ctx, paths, progress); err != nil {
		return nil, err
	}
	if plan.Artifacts, err = Build(ctx, home, plan.Source, progress); err != nil {
		return nil, err
	}
	start := now()
	u := &starter{plan: plan, state: newState(plan), progress: progress, now: now}
	if err := u.run(ctx); err != nil {
		return nil, fmt.Errorf("start sandbox %s (its logs stay in %s until `woven-sandbox down`): %w", o.Name, paths.Dir(), err)
	}
	progress.Say("sandbox %s is up after %.1f s", o.Name, now().Sub(start).Seconds())
	return Open(home, o.Name)
}

func makePlan(paths Paths, o Options) (Plan, error) {
	exe := o.Exe
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			return Plan{}, fmt.Errorf("find this program's path: %w", err)
		}
	}
	source := o.Source
	if source == "" {
		var err error
		if source, err = FindSource(); err != nil {
			return Plan{}, err
		}
	}
	plan := Plan{
		Paths: paths, Nodes: o.Nodes, DualStack: o.DualStack, Dev: o.Dev, KubeProxy: o.KubeProxy, DNS: o.DNS, OVNDNS: o.OVNDNS,
		Exe: exe, Source: source, WovenBin: filepath.Dir(exe), CgroupV2: cgroupsV2(),
	}
	if err := plan.Validate(); err != nil {
		return plan, err
	}
	if o.Dev {
		return plan, plan.checkWoven()
	}
	return plan, nil
}

// clearTheWay removes an unfinished or dead sandbox of this name. It returns an error for a complete one that runs.
func clearTheWay(ctx context.Context, paths Paths, progress *Progress) error {
	state, err := readState(paths)
	if errors.Is(err, fs.ErrNotExist) {
		return wrap(os.RemoveAll(paths.Dir()), "remove a run directory without state")
	}
	if err != nil {
		return err
	}
	if state.Complete && state.alive() {
		return fmt.Errorf("sandbox %s is already running, with %d nodes: stop it with `woven-sandbox down --name %s`, or pass another --name", paths.Name, state.Plan.Nodes, paths.Name)
	}
	done := progress.Step("removing the remains of sandbox %s", paths.Name)
	err = remove(ctx, state)
	done(err)
	return err
}

// starter is the state of one Up.
type starter struct {
	plan     Plan
	state    *State
	progress *Progress
	now      func() time.Time
}

func (u *starter) run(ctx context.Context) error {
	v1, err := hierarchiesV1()
	if err != nil {
		return err
	}
	if !u.plan.CgroupV2 {
		for _, h := range v1 {
			u.plan.CgroupV1 = append(u.plan.CgroupV1, h.mount)
		}
	}
	u.state.Plan = u.plan
	if err := os.MkdirAll(u.plan.Paths.Gate(""), 0o700); err != nil {
		return fmt.Errorf("create the run directory: %w", err)
	}
	if err := u.state.write(); err != nil { // from here on, Down can remove everything
		return err
	}
	if err := thisMachine.prepare(ctx, u.plan.Paths.Dir()); err != nil {
		return err
	}
	if err := u.writeFiles(); err != nil {
		return err
	}
	done := u.progress.Step("starting the control plane and %d nodes", u.plan.Nodes)
	err = u.startAll(ctx, v1)
	done(err)
	if err != nil {
		return err
	}
	cluster := newCluster(u.state)
	if err := cluster.bringUp(ctx, u.progress); err != nil {
		return err
	}
	u.state.Complete = true
	return u.state.write()
}

// writeFiles writes the files that the capsules read.
func (u *starter) writeFiles() error {
	p := u.plan
	pki, err := newPKI(p, u.now())
	if err != nil {
		return err
	}
	if err := writeFiles(p.Paths.PKI(""), pki); err != nil {
		return err
	}
	for _, db := range []string{"nb", "sb"} {
		if err := writeOVNTLS(p, controlCapsule, db, "ovn-"+db, pki["ovn-"+db+"-ca.crt"], pki); err != nil {
			return err
		}
	}
	for _, spec := range p.specs() {
		for _, dir := range []string{"run/openvswitch", "run/ovn", "run/lock"} {
			if err := makeDir(p.Paths.own(spec.Name, dir)); err != nil {
				return err
			}
		}
	}
	for n := 1; n <= p.Nodes; n++ {
		if err := writeNodeFiles(p, n, pki); err != nil {
			return err
		}
	}
	return nil
}

// writeOVNTLS writes the files that [ovnTLS] names.
func writeOVNTLS(p Plan, capsule, program, certificate string, ca []byte, pki map[string][]byte) error {
	return writeFiles(p.ownDir(capsule, "/etc/ovn"), map[string][]byte{
		program + "-key.pem": pki[certificate+".key"], program + "-cert.pem": pki[certificate+".crt"], program + "-ca.pem": ca,
	})
}

func writeNodeFiles(p Plan, n int, pki map[string][]byte) error {
	name := NodeName(n)
	if err := writeOVNTLS(p, name, "node", name+"-ovn", pki["ovn-sb-ca.crt"], pki); err != nil {
		return err
	}
	kubelet, err := p.kubeletConfig(n)
	if err != nil {
		return err
	}
	proxy, err := p.kubeProxyConfig(n)
	if err != nil {
		return err
	}
	err = writeFiles(p.Paths.own(name, ""), map[string][]byte{
		"kubelet.yaml": kubelet, "kube-proxy.yaml": proxy, "node.nft": nodeFilter(p.DualStack),
		"resolv.conf": []byte("nameserver 127.0.0.1\n"),
	})
	if err != nil {
		return err
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return fmt.Errorf("find runc: %w", err)
	}
	if err := writeFiles(p.ownDir(name, "/etc/containerd"), map[string][]byte{"config.toml": containerdConfig(runc)}); err != nil {
		return err
	}
	if err := makeDir(filepath.Join(p.ownDir(name, "/etc/cni"), "net.d")); err != nil {
		return err
	}
	return installCNI(p, n)
}

// installCNI copies the CNI plugins loopback and portmap (host ports) into a node and, with Dev, Woven's own.
func installCNI(p Plan, n int) error {
	target := rootfs{dir: filepath.Join(p.ownDir(NodeName(n), "/opt/cni"), "bin")}
	for _, plugin := range []string{"loopback", "portmap"} {
		if err := target.copy(filepath.Join(p.Artifacts.CNI, plugin), plugin, 0o755); err != nil {
			return err
		}
	}
	if !p.Dev {
		return nil
	}
	return target.copy(filepath.Join(p.WovenBin, wovenCNI), wovenCNI, 0o755)
}

// startAll starts every capsule, records it, puts it into its cgroups, connects it to the bridge, and releases its
// pid 1.
func (u *starter) startAll(ctx context.Context, v1 []hierarchy) error {
	cables := map[string]link{}
	for _, l := range u.plan.links() {
		cables[l.capsule] = l
	}
	for _, spec := range u.plan.specs() {
		capsule, err := startCapsule(u.plan, spec)
		if err != nil {
			return err
		}
		err = u.attach(ctx, capsule.process, spec.Name, cables, v1)
		if err != nil {
			return capsule.abandon(fmt.Errorf("capsule %s: %w", spec.Name, err))
		}
		if err := capsule.release(); err != nil {
			return err
		}
	}
	return nil
}

func (u *starter) attach(ctx context.Context, process Process, name string, cables map[string]link, v1 []hierarchy) error {
	u.state.Capsules[name] = process
	cable, plugged := cables[name]
	var cgroups []string
	if plugged && name != outsideCapsule {
		cgroups = nodeCgroups(u.plan, name, v1)
		u.state.Cgroups = append(u.state.Cgroups, cgroups...)
	}
	if err := u.state.write(); err != nil {
		return err
	}
	for _, dir := range cgroups {
		if err := makeCgroup(dir, u.plan.CgroupV2); err != nil {
			return err
		}
		if err := joinCgroup(dir, process.PID); err != nil {
			return err
		}
	}
	if name == controlCapsule {
		return controlNetwork(ctx, process, u.plan)
	}
	return connect(ctx, u.state.Capsules[controlCapsule], process, cable)
}
