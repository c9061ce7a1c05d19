// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"path/filepath"
	"strings"
)

// Names of the services of a node's capsule.
const (
	svcOVSDB         = "ovs-db"
	svcVSwitchd      = "ovs-vswitchd"
	svcOVNController = "ovn-controller"
	svcContainerd    = "containerd"
	svcKubelet       = "kubelet"
	svcKubeProxy     = "kube-proxy"
	svcCNIServer     = "cniserver"
)

const containerdSocket = "/run/containerd/containerd.sock"

// nodeOwnDirs are the directories that each node has for itself; the other directories are the machine's.
var nodeOwnDirs = []string{
	"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers",
	"/etc/cni", "/etc/containerd", "/etc/kubernetes", "/opt/cni",
	"/etc/openvswitch", "/etc/ovn", "/var/lib/openvswitch", "/var/lib/ovn", "/var/log/openvswitch", "/var/log/ovn",
}

// ownDir is the directory on the machine that node name sees as dir.
func (p Plan) ownDir(name, dir string) string {
	return p.Paths.own(name, strings.ReplaceAll(dir[1:], "/", "-"))
}

func (p Plan) resolvConf(name string) string { return p.Paths.own(name, "resolv.conf") }

func (p Plan) nodeSpec(n int) CapsuleSpec {
	name := NodeName(n)
	spec := p.capsule(name, name)
	spec.Mounts = p.nodeMounts(name)
	spec.Sysctls = map[string]string{
		"net/ipv4/ip_forward":                 "1",
		"net/ipv6/conf/all/forwarding":        "1",
		"net/bridge/bridge-nf-call-iptables":  "1",
		"net/bridge/bridge-nf-call-ip6tables": "1",
	}
	spec.Services = append(p.ovsServices(n), p.containerServices(n)...)
	if p.Dev {
		spec.Services = append(spec.Services, p.cniServerService(n))
	}
	return spec
}

func (p Plan) nodeMounts(name string) []Mount {
	mounts := p.baseMounts(name)
	if p.CgroupV2 {
		mounts = append(mounts, Mount{MountCgroup2, "", "/sys/fs/cgroup"})
	} else {
		mounts = append(mounts, Mount{MountTmpfs, "", "/sys/fs/cgroup"})
		for _, hierarchy := range p.CgroupV1 {
			mounts = append(mounts, Mount{MountCgroup, hierarchy.Option, filepath.Join("/sys/fs/cgroup", hierarchy.Dir)})
		}
	}
	for _, dir := range nodeOwnDirs {
		mounts = append(mounts, Mount{MountBind, p.ownDir(name, dir), dir})
	}
	return append(mounts, Mount{MountBind, p.resolvConf(name), "/etc/resolv.conf"}, Mount{MountShared, "", "/"})
}

// importImage is the command that imports an OCI archive into a node's containerd.
func (p Plan) importImage(file string) []string {
	return []string{filepath.Join(p.Artifacts.Containerd, "ctr"), "--address", containerdSocket, "--namespace", "k8s.io", "images", "import", "--local=true", file}
}

func (p Plan) containerServices(n int) []Service {
	name := NodeName(n)
	var imports []Hook
	for _, image := range []string{"pause", "busybox", "agnhost", "coredns"} {
		file := filepath.Join(p.Artifacts.Images, image+".tar")
		imports = append(imports, Hook{Once: true, Argv: p.importImage(file)})
	}
	addrs := NodeAddr(n, false).String()
	if p.DualStack {
		addrs += "," + NodeAddr(n, true).String()
	}
	services := []Service{
		{
			Name: svcContainerd, Argv: []string{filepath.Join(p.Artifacts.Containerd, "containerd"), "--config", "/etc/containerd/config.toml"},
			Ready: Probe{Unix: containerdSocket}, Then: imports,
		},
		{
			Name: svcKubelet, After: []string{svcContainerd, svcVSwitchd}, Gate: p.Paths.Gate(gateAPI),
			Argv: []string{
				filepath.Join(p.Artifacts.Kubernetes, "kubelet"), "--config=" + p.Paths.own(name, "kubelet.yaml"), "--kubeconfig=" + p.Paths.PKI(name+".conf"),
				"--hostname-override=" + name, "--node-ip=" + addrs, "--cert-dir=/var/lib/kubelet/pki",
			},
		},
	}
	if p.KubeProxy == KubeProxyNone {
		return services
	}
	return append(services, Service{
		Name: svcKubeProxy, After: []string{svcVSwitchd}, Gate: p.Paths.Gate(gateAPI),
		Argv: []string{filepath.Join(p.Artifacts.Kubernetes, "kube-proxy"), "--config=" + p.Paths.own(name, "kube-proxy.yaml")},
	})
}
