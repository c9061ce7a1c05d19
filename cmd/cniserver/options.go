package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wovensdn/woven/pkg/cniserver/api"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

type options struct {
	kubeconfig, nodeName  string
	bindSocket, ovsSocket string
	clusterRouter         string
	leaseNamespace        string
	mtu                   int
	enableMirror          bool
	mirrorIface           string
	confDir, confName     string
	binDir                string
	bindAddress           string
	verbosity             int
	logJSON               bool
}

func defaults() *options {
	return &options{
		bindSocket: api.DefaultSocket, ovsSocket: "/run/openvswitch/db.sock", clusterRouter: "ovn-cluster",
		leaseNamespace: model.HeartbeatNamespace,
		enableMirror:   true, mirrorIface: "mirror0", confDir: "/etc/cni/net.d", confName: "01-woven.conflist", binDir: "/opt/cni/bin",
		bindAddress: ":10665",
	}
}

func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "kubeconfig file; empty means the pod's service account")
	f.StringVar(&o.nodeName, "node-name", o.nodeName, "name of this node's Node object; default: the environment variable NODE_NAME")
	f.StringVar(&o.bindSocket, "bind-socket", o.bindSocket, "unix socket on which the CNI plugin is served")
	f.StringVar(&o.ovsSocket, "ovs-socket", o.ovsSocket, "unix socket of the node's Open_vSwitch database, with or without the prefix unix:")
	f.StringVar(&o.clusterRouter, "cluster-router", o.clusterRouter, "name of the default Vpc, whose subnets the hosts reach")
	f.StringVar(&o.leaseNamespace, "gateway-lease-namespace", o.leaseNamespace, "namespace of the Lease by which this node, if it is a gateway, shows that it lives; the same as the controller's")
	f.IntVar(&o.mtu, "mtu", o.mtu, "MTU in bytes of ovn0 and of pods whose subnet names none; 0 means that of the link with the node's address less 100, less 120 if that address is IPv6")
	f.BoolVar(&o.enableMirror, "enable-mirror", o.enableMirror, "copy the packets of this node's pods to a link for tcpdump")
	f.StringVar(&o.mirrorIface, "mirror-iface", o.mirrorIface, "name of that link")
	f.StringVar(&o.confDir, "cni-conf-dir", o.confDir, "directory in which the container runtime looks for network configurations")
	f.StringVar(&o.confName, "cni-conf-name", o.confName, "name of the network configuration file, written once the node works")
	f.StringVar(&o.binDir, "cni-bin-dir", o.binDir, "directory in which the container runtime looks for plugins; if portmap is there, pods may have a hostPort")
	f.StringVar(&o.bindAddress, "metrics-bind-address", o.bindAddress, "address of /metrics, /healthz and /readyz; 0 turns them off")
	f.IntVarP(&o.verbosity, "verbosity", "v", o.verbosity, "log verbosity; 0 is what an operator wants to know")
	f.BoolVar(&o.logJSON, "log-json", o.logJSON, "log one JSON object a line")
}

var linkName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)

// complete checks the flags and fills in what the environment says.
func (o *options) complete(nodeName string) error {
	if o.nodeName == "" {
		o.nodeName = nodeName
	}
	if o.nodeName == "" {
		return errors.New("--node-name is empty, and so is the environment variable NODE_NAME")
	}
	if problems := validation.IsDNS1123Subdomain(o.nodeName); len(problems) > 0 {
		return fmt.Errorf("--node-name %q: %s", o.nodeName, problems[0])
	}
	if problems := validation.IsDNS1123Label(o.leaseNamespace); len(problems) > 0 {
		return fmt.Errorf("--gateway-lease-namespace %q: %s", o.leaseNamespace, problems[0])
	}
	if o.mtu != 0 && (o.mtu < hostplan.MinMTU6 || o.mtu > 65535) {
		return fmt.Errorf("--mtu %d: want 0, or %d to 65535", o.mtu, hostplan.MinMTU6)
	}
	if !linkName.MatchString(o.mirrorIface) || o.mirrorIface == hostplan.NodeLink || o.mirrorIface == hostplan.IntegrationBridge {
		return fmt.Errorf("--mirror-iface %q: want a name of at most 15 letters, digits, '.', '_' and '-' that is not taken", o.mirrorIface)
	}
	if o.confName != filepath.Base(o.confName) || !strings.HasSuffix(o.confName, ".conflist") {
		return fmt.Errorf("--cni-conf-name %q: want a file name that ends in .conflist", o.confName)
	}
	o.ovsSocket = strings.TrimPrefix(o.ovsSocket, "unix:")
	for flag, path := range map[string]string{"--ovs-socket": o.ovsSocket, "--bind-socket": o.bindSocket, "--cni-conf-dir": o.confDir, "--cni-bin-dir": o.binDir} {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%s %q: want an absolute path", flag, path)
		}
	}
	return nil
}

func (o *options) level() zapcore.Level {
	// #nosec G115 -- bounded just here
	return zapcore.Level(-min(max(o.verbosity, 0), 127))
}
