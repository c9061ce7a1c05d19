// SPDX-License-Identifier: Apache-2.0

package cniserver

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wovensdn/woven/pkg/cli"
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
	limits                model.Limits
	enableMirror          bool
	mirrorIface           string
	confDir, confName     string
	binDir                string
	bindAddress           string
	observation           cli.Observation
	verbosity             int
	logJSON               bool
}

func defaults() *options {
	return &options{
		bindSocket: api.DefaultSocket, ovsSocket: "/run/openvswitch/db.sock", clusterRouter: "ovn-cluster",
		leaseNamespace: model.HeartbeatNamespace, limits: model.DefaultLimits,
		enableMirror: true, mirrorIface: "mirror0", confDir: "/etc/cni/net.d", confName: "01-woven.conflist", binDir: "/opt/cni/bin",
		bindAddress: "127.0.0.1:10665", observation: cli.Observation{HealthAddress: ":10666"},
	}
}

func (o *options) bind(f *pflag.FlagSet) {
	f.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "Kubeconfig file; empty: the service account of the pod.")
	f.StringVar(&o.nodeName, "node-name", o.nodeName, "Name of this node's Node object; empty: the environment variable NODE_NAME.")
	f.StringVar(&o.bindSocket, "bind-socket", o.bindSocket, "Unix socket on which the CNI plugin is served.")
	f.StringVar(&o.ovsSocket, "ovs-socket", o.ovsSocket, "Unix socket of the node's Open_vSwitch database, with or without the prefix unix:.")
	f.StringVar(&o.clusterRouter, "cluster-router", o.clusterRouter, "Name of the default Vpc, whose Subnets the hosts reach.")
	f.StringVar(&o.leaseNamespace, "gateway-lease-namespace", o.leaseNamespace, "Namespace of the Lease that this node, if it is a gateway, renews as a heartbeat; the same as that of woven-controller.")
	f.IntVar(&o.mtu, "mtu", o.mtu, "MTU in bytes of ovn0 and of pods whose Subnet sets none; 0: that of the link with the node's address minus 100, minus 120 if that address is IPv6.")
	f.IntVar(&o.limits.ServiceBackends, "max-service-backends", o.limits.ServiceBackends, "Maximum number of pairs of a frontend (address and port) and a backend of one Service; the same as that of woven-controller. 0: no limit.")
	f.BoolVar(&o.enableMirror, "enable-mirror", o.enableMirror, "Copy the packets of this node's pods to a link for tcpdump.")
	f.StringVar(&o.mirrorIface, "mirror-iface", o.mirrorIface, "Name of the link for --enable-mirror.")
	f.StringVar(&o.confDir, "cni-conf-dir", o.confDir, "Directory in which the container runtime looks for network configurations.")
	f.StringVar(&o.confName, "cni-conf-name", o.confName, "Name of the network configuration file, which is written once the node is ready.")
	f.StringVar(&o.binDir, "cni-bin-dir", o.binDir, "Directory in which the container runtime looks for plugins; if portmap is there, pods may have a hostPort.")
	f.StringVar(&o.bindAddress, "metrics-bind-address", o.bindAddress, "Address (HOST:PORT, or :PORT for all addresses) on which /metrics, /healthz and /readyz are served; 0: not served. Beyond loopback it needs TLS and a token with the ClusterRole woven-metrics-reader.")
	o.observation.Flags(f)
	f.IntVarP(&o.verbosity, "verbosity", "v", o.verbosity, "Log verbosity; 0: what an operator needs, higher: more detail for debugging.")
	f.BoolVar(&o.logJSON, "log-json", o.logJSON, "Log one JSON object per line.")
}

var linkName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$`)

// complete sets defaults from the environment and validates the flags.
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
		return fmt.Errorf("--mirror-iface %q: want a name of at most 15 letters, digits, '.', '_' and '-' that is not in use", o.mirrorIface)
	}
	if o.confName != filepath.Base(o.confName) || !strings.HasSuffix(o.confName, ".conflist") {
		return fmt.Errorf("--cni-conf-name %q: want a file name that ends in .conflist", o.confName)
	}
	o.ovsSocket = strings.TrimPrefix(o.ovsSocket, "unix:")
	return errors.Join(o.observation.Validate(), o.validatePaths())
}

func (o *options) validatePaths() error {
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
