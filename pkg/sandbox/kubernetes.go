// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// Gates that Up opens.
const (
	gateAPI   = "api"   // the API server answers and its roles are in place
	gateWoven = "woven" // Woven's CRDs and roles are in place
)

// Names of the services of the control plane's capsule, as `woven-sandbox pid` and `restart` know them.
const (
	svcEtcd       = "etcd"
	svcAPI        = "kube-apiserver"
	svcKCM        = "kube-controller-manager"
	svcScheduler  = "kube-scheduler"
	svcOVNNB      = "ovn-nb"
	svcOVNSB      = "ovn-sb"
	svcOVNNorthd  = "ovn-northd"
	svcController = "controller"
)

// controlSpec is the control plane: Kubernetes' and OVN's.
func (p Plan) controlSpec() CapsuleSpec {
	spec := p.capsule(controlCapsule, "control")
	spec.Mounts = p.baseMounts(controlCapsule)
	spec.Sysctls = map[string]string{
		"net/ipv4/ip_forward":          "1",
		"net/ipv6/conf/all/forwarding": "1",
		// The nodes' frames cross this bridge; this namespace's packet filter must not see them.
		"net/bridge/bridge-nf-call-iptables":  "0",
		"net/bridge/bridge-nf-call-ip6tables": "0",
	}
	spec.Services = append(p.kubernetesServices(), p.ovnCentralServices()...)
	if p.Dev {
		spec.Services = append(spec.Services, p.controllerService())
	}
	return spec
}

func (p Plan) kubernetesServices() []Service {
	bin := func(name string) string { return filepath.Join(p.Artifacts.Kubernetes, name) }
	return []Service{
		{Name: svcEtcd, Argv: append([]string{filepath.Join(p.Artifacts.Etcd, "etcd")}, p.etcdFlags()...), Ready: Probe{URL: "http://127.0.0.1:2381/health"}},
		{
			Name: svcAPI, Argv: append([]string{bin("kube-apiserver")}, p.apiServerFlags()...), After: []string{svcEtcd},
			Ready: Probe{URL: "https://127.0.0.1:" + apiPort + "/readyz", CA: p.Paths.PKI("ca.crt")},
		},
		{Name: svcKCM, Argv: append([]string{bin("kube-controller-manager")}, p.controllerManagerFlags()...), After: []string{svcAPI}},
		{Name: svcScheduler, Argv: append([]string{bin("kube-scheduler")}, p.schedulerFlags()...), After: []string{svcAPI}},
	}
}

func (p Plan) etcdFlags() []string {
	return []string{
		"--name=sandbox", "--data-dir=" + p.Paths.own(controlCapsule, "etcd"),
		"--listen-client-urls=https://127.0.0.1:2379", "--advertise-client-urls=https://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=sandbox=http://127.0.0.1:2380",
		"--cert-file=" + p.Paths.PKI("etcd.crt"), "--key-file=" + p.Paths.PKI("etcd.key"), "--client-cert-auth", "--trusted-ca-file=" + p.Paths.PKI("etcd-ca.crt"),
		"--listen-metrics-urls=http://127.0.0.1:2381",
		"--unsafe-no-fsync", // a sandbox need not survive a power failure
		"--log-level=warn",
	}
}

func (p Plan) apiServerFlags() []string {
	pki := p.Paths.PKI
	return []string{
		"--bind-address=0.0.0.0", "--secure-port=" + apiPort, "--advertise-address=" + ControlAddr().String(),
		"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + pki("etcd-ca.crt"), "--etcd-certfile=" + pki("apiserver-etcd.crt"), "--etcd-keyfile=" + pki("apiserver-etcd.key"),
		"--client-ca-file=" + pki("ca.crt"), "--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
		"--kubelet-client-certificate=" + pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet.key"), "--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP,Hostname",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local", "--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
		"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + pki("front-proxy.crt"), "--proxy-client-key-file=" + pki("front-proxy.key"),
		"--enable-aggregator-routing=true", // dial webhooks at their pods' addresses: no service proxy runs here
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--service-cluster-ip-range=" + join(p.DualStack, serviceNet4, serviceNet6),
	}
}

func (p Plan) controllerManagerFlags() []string {
	pki := p.Paths.PKI
	conf := pki("kube-controller-manager.conf")
	return []string{
		"--kubeconfig=" + conf, "--authentication-kubeconfig=" + conf, "--authorization-kubeconfig=" + conf,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--use-service-account-credentials=true",
		"--kube-api-qps=300", "--kube-api-burst=500", // the default client-side rate limit would cost 5 s at the start
		"--service-account-private-key-file=" + pki("sa.key"), "--root-ca-file=" + pki("ca.crt"), "--client-ca-file=" + pki("ca.crt"),
		"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
		"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
		"--allocate-node-cidrs=false", "--flex-volume-plugin-dir=" + p.Paths.own(controlCapsule, "volumeplugins"),
		"--service-cluster-ip-range=" + join(p.DualStack, serviceNet4, serviceNet6),
	}
}

func (p Plan) schedulerFlags() []string {
	conf := p.Paths.PKI("kube-scheduler.conf")
	return []string{"--kubeconfig=" + conf, "--authentication-kubeconfig=" + conf, "--authorization-kubeconfig=" + conf, "--bind-address=127.0.0.1", "--leader-elect=false"}
}

// kubeletConfig is a KubeletConfiguration (kubelet.config.k8s.io/v1beta1).
func (p Plan) kubeletConfig(n int) ([]byte, error) {
	name := NodeName(n)
	config := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupsPerQOS": true, "enforceNodeAllocatable": []string{"pods"}, "failSwapOn": false,
		"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true},
			"x509": map[string]any{"clientCAFile": p.Paths.PKI("ca.crt")},
		},
		"authorization": map[string]any{"mode": "Webhook"},
		"tlsCertFile":   p.Paths.PKI(name + "-serving.crt"), "tlsPrivateKeyFile": p.Paths.PKI(name + "-serving.key"),
		"clusterDNS": []string{dnsAddress()}, "clusterDomain": "cluster.local", "resolvConf": p.resolvConf(name),
		// The images exist only on the node, and its disk is the machine's: never remove images, never evict for disk
		// pressure.
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		"evictionHard":              map[string]string{"memory.available": "100Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%"},
		"volumePluginDir":           "/var/lib/kubelet/volumeplugins",
		"nodeStatusUpdateFrequency": "5s", "maxPods": 250,
	}
	raw, err := yaml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encode the kubelet configuration of %s: %w", name, err)
	}
	return raw, nil
}

// kubeProxyConfig is a KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1). Pods' traffic to Services is
// masqueraded, so that replies return through the node that translated the address.
func (p Plan) kubeProxyConfig(n int) ([]byte, error) {
	config := map[string]any{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"mode": p.KubeProxy, "clusterCIDR": join(p.DualStack, podNet4, podNet6), "hostnameOverride": NodeName(n),
		"clientConnection": map[string]any{"kubeconfig": p.Paths.PKI("kube-proxy.conf")},
		"iptables":         map[string]any{"masqueradeAll": true}, "nftables": map[string]any{"masqueradeAll": true},
		// The sandbox must not change the machine's conntrack limits.
		"conntrack": map[string]any{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	}
	raw, err := yaml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("encode the kube-proxy configuration of %s: %w", NodeName(n), err)
	}
	return raw, nil
}

// containerdConfig is containerd's config.toml (version 3). The sandbox may lack CAP_SYS_RESOURCE, hence
// restrict_oom_score_adj.
func containerdConfig(runc string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "version = 3\nroot = %q\nstate = %q\n", "/var/lib/containerd", "/run/containerd")
	fmt.Fprintf(&b, "[grpc]\n  address = %q\n", "/run/containerd/containerd.sock")
	fmt.Fprintf(&b, "[plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = %q\n", PauseImage)
	b.WriteString("[plugins.'io.containerd.internal.v1.opt']\n  path = '/var/lib/containerd/opt'\n")
	b.WriteString("[plugins.'io.containerd.cri.v1.runtime']\n  disable_apparmor = true\n  restrict_oom_score_adj = true\n")
	b.WriteString("[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n  runtime_type = 'io.containerd.runc.v2'\n")
	fmt.Fprintf(&b, "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n  BinaryName = %q\n  SystemdCgroup = false\n", runc)
	return []byte(b.String())
}
