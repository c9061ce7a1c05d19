// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func testPlan(nodes int) Plan {
	return Plan{
		Paths: Home("/home/w").paths("k0"), Nodes: nodes, KubeProxy: KubeProxyNftables,
		Artifacts: Artifacts{Kubernetes: "/b/k8s", Etcd: "/b/etcd", Containerd: "/b/ctrd", CNI: "/b/cni", Root: "/b/debian", Images: "/b/images"},
		Exe:       "/b/woven-sandbox", WovenBin: "/b", Source: "/src",
		CgroupV1: []CgroupMount{{"cpu,cpuacct", "cpu,cpuacct"}, {"systemd", "none,name=systemd"}},
	}
}

func TestValidateName(t *testing.T) {
	for name, good := range map[string]bool{
		"k0": true, "a": true, "my-box": true, "twelve-chars": true,
		"": false, "0k": false, "K0": false, "a/b": false, "..": false, "-a": false, "a-": false, "thirteen-char": false, "a_b": false,
	} {
		if err := ValidateName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPlanValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Plan)
		want   string // part of the error
	}{
		"good":         {func(*Plan) {}, ""},
		"bad name":     {func(p *Plan) { p.Paths.Name = "A" }, "sandbox name"},
		"no node":      {func(p *Plan) { p.Nodes = 0 }, "nodes: 0"},
		"many nodes":   {func(p *Plan) { p.Nodes = 101 }, "nodes: 101"},
		"proxy mode":   {func(p *Plan) { p.KubeProxy = "ipvs" }, `"ipvs"`},
		"home in /run": {func(p *Plan) { p.Paths.Home = "/run/w" }, "/run"},
		"relative":     {func(p *Plan) { p.Paths.Home = "w" }, "absolute"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := testPlan(2)
			test.change(&p)
			err := p.Validate()
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestSpecsAreConsistent checks every capsule of every variant: names are unique, predecessors exist and are not
// circular, paths are absolute.
func TestSpecsAreConsistent(t *testing.T) {
	for _, flavour := range []func(*Plan){func(*Plan) {}, func(p *Plan) { p.DualStack = true }, func(p *Plan) { p.Dev = true }, func(p *Plan) { p.CgroupV2, p.KubeProxy = true, KubeProxyNone }} {
		p := testPlan(3)
		flavour(&p)
		specs := p.specs()
		if len(specs) != 5 {
			t.Fatalf("%d capsules, want control, outside and 3 nodes", len(specs))
		}
		for _, spec := range specs {
			checkSpec(t, spec)
		}
	}
}

func checkSpec(t *testing.T, spec CapsuleSpec) {
	t.Helper()
	started := map[string]bool{}
	for _, service := range spec.Services { // services are listed after those they wait for
		if started[service.Name] {
			t.Errorf("%s: service %s twice", spec.Name, service.Name)
		}
		for _, before := range service.After {
			if !started[before] {
				t.Errorf("%s: %s waits for %s, which is not before it", spec.Name, service.Name, before)
			}
		}
		if !service.Chroot && !filepath.IsAbs(service.Argv[0]) {
			t.Errorf("%s: %s runs %q", spec.Name, service.Name, service.Argv[0])
		}
		started[service.Name] = true
	}
	for _, m := range spec.Mounts {
		if !filepath.IsAbs(m.Target) || (m.Kind == MountBind && !filepath.IsAbs(m.Source)) {
			t.Errorf("%s: mount %+v", spec.Name, m)
		}
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var back CapsuleSpec
	if err := json.Unmarshal(raw, &back); err != nil || !reflect.DeepEqual(normal(t, back), normal(t, spec)) {
		t.Errorf("%s differs after encoding and decoding: %v", spec.Name, err)
	}
}

func normal(t *testing.T, spec CapsuleSpec) string {
	t.Helper()
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func findService(t *testing.T, spec CapsuleSpec, name string) Service {
	t.Helper()
	i := slices.IndexFunc(spec.Services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("%s has no service %s", spec.Name, name)
	}
	return spec.Services[i]
}

func TestOVNListensOnTLSOnly(t *testing.T) {
	spec := testPlan(1).controlSpec()
	nb, sb := findService(t, spec, svcOVNNB), findService(t, spec, svcOVNSB)
	if !slices.Contains(nb.Argv, "--remote=pssl:6641:0.0.0.0") || !slices.Contains(nb.Argv, "--ca-cert=/etc/ovn/nb-ca.pem") {
		t.Errorf("the northbound does not listen on TLS with its own CA: %q", nb.Argv)
	}
	if !slices.Contains(sb.Argv, "--ca-cert=/etc/ovn/sb-ca.pem") || !slices.Contains(sb.Then[0].Argv, "role=ovn-controller") || !slices.Contains(sb.Then[0].Argv, "pssl:6642:0.0.0.0") {
		t.Errorf("the southbound does not listen on TLS with the role of nodes: %q, %q", sb.Argv, sb.Then[0].Argv)
	}
	for _, arg := range slices.Concat(nb.Argv, sb.Argv, sb.Then[0].Argv) {
		if strings.Contains(arg, "ptcp:") || strings.Contains(arg, "pssl:6642") && arg != "pssl:6642:0.0.0.0" {
			t.Errorf("a database listens without TLS or role: %s", arg)
		}
	}
}

func TestChassis(t *testing.T) {
	argv := findService(t, testPlan(2).nodeSpec(2), svcOVSDB).Then[0].Argv
	for _, want := range []string{
		"external-ids:system-id=n2", "external-ids:ovn-remote=ssl:192.168.77.1:6642", "external-ids:ovn-encap-ip=192.168.77.12",
		"external-ids:ovn-bridge-datapath-type=netdev", "external-ids:ovn-monitor-all=true",
	} {
		if !slices.Contains(argv, want) {
			t.Errorf("no %s in %q", want, argv)
		}
	}
}

func TestDualStack(t *testing.T) {
	p := testPlan(1)
	p.DualStack = true
	if argv := findService(t, p.controlSpec(), svcAPI).Argv; !slices.Contains(argv, "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112") {
		t.Errorf("kube-apiserver: %q", argv)
	}
	if argv := findService(t, p.nodeSpec(1), svcKubelet).Argv; !slices.Contains(argv, "--node-ip=192.168.77.11,fd00:77::b") {
		t.Errorf("kubelet: %q", argv)
	}
	found := false
	for _, hook := range findService(t, p.nodeSpec(1), svcVSwitchd).Then {
		found = found || slices.Equal(hook.Argv, []string{"ip", "addr", "replace", "fd00:77::b/64", "dev", "br-phy", "nodad"})
	}
	if !found {
		t.Error("the node has no IPv6 address")
	}
}

func TestKubeletConfig(t *testing.T) {
	raw, err := testPlan(2).kubeletConfig(2)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.UnmarshalStrict(raw, &config); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"failCgroupV1": false, "cgroupDriver": "cgroupfs", "tlsCertFile": "/home/w/run/k0/pki/n2-serving.crt"} {
		if config[key] != want {
			t.Errorf("%s: %v, want %v", key, config[key], want)
		}
	}
	if config["authentication"].(map[string]any)["anonymous"].(map[string]any)["enabled"] != false {
		t.Error("the kubelet accepts anonymous requests")
	}
}

func TestKubeProxyConfig(t *testing.T) {
	raw, err := testPlan(1).kubeProxyConfig(1)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Mode     string
		Nftables struct{ MasqueradeAll bool }
	}
	if err := yaml.Unmarshal(raw, &config); err != nil || config.Mode != KubeProxyNftables || !config.Nftables.MasqueradeAll {
		t.Errorf("%+v, %v", config, err)
	}
}

func TestContainerdConfig(t *testing.T) {
	config := string(containerdConfig("/usr/sbin/runc"))
	for _, want := range []string{`BinaryName = "/usr/sbin/runc"`, `sandbox = "` + PauseImage + `"`, "restrict_oom_score_adj = true"} {
		if !strings.Contains(config, want) {
			t.Errorf("no %s in:\n%s", want, config)
		}
	}
}

func TestNodeFilter(t *testing.T) {
	filter := string(nodeFilter(true))
	for _, want := range []string{`hook ingress device "eth0"`, `ip saddr 192.168.77.1 oifname "ovn0" masquerade`, `ip6 saddr fd00:77::1 oifname "ovn0" masquerade`} {
		if !strings.Contains(filter, want) {
			t.Errorf("no %s in:\n%s", want, filter)
		}
	}
	if strings.Contains(string(nodeFilter(false)), "ip6") {
		t.Error("the filter of a single-stack node has IPv6 rules")
	}
}

func TestHostAddr(t *testing.T) {
	if got := NodeAddr(100, false).String(); got != "192.168.77.110" {
		t.Error(got)
	}
	if got := NodeAddr(1, true).String(); got != "fd00:77::b" {
		t.Error(got)
	}
	if got := OutsideAddr(false).String(); got != "192.168.77.254" {
		t.Error(got)
	}
}
