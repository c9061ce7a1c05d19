// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
	"k8s.io/apimachinery/pkg/util/validation"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/wovensdn/woven/pkg/cli"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
)

// options are the flags. A flag that Kube-OVN has too has the same name and default here.
type options struct {
	nbAddr, sbAddr             string
	tlsCert, tlsKey, tlsCA     string
	inactivitySeconds          int
	kubeconfig                 string
	apiWriters                 int
	clusterRouter              string
	defaultLS, nodeSwitch      string
	defaultCIDR, nodeCIDR      string
	defaultGateway, nodeGW     string
	defaultExclude             string
	serviceRange               string
	enableLB                   bool
	portSecurity               bool
	namespaceSubnets           []string
	restrictSubnets            bool
	limits                     model.Limits
	serviceSource              string
	enableDNS                  bool
	clusterDomain              string
	lease                      kube.LeaseConfig
	bindHost                   string
	port                       int
	enableMetrics, enablePprof bool
	observation                cli.Observation
	logLevel, logFormat        string
	webhook                    webhookOptions
	gatewayLeases              string // namespace
}

func defaults() *options {
	return &options{
		nbAddr: "tcp:127.0.0.1:6641", sbAddr: "tcp:127.0.0.1:6642", inactivitySeconds: 10,
		apiWriters: kube.DefaultWriters, clusterRouter: model.DefaultVpc,
		defaultLS: "ovn-default", defaultCIDR: "10.16.0.0/16",
		nodeSwitch: "join", nodeCIDR: "100.64.0.0/16", serviceRange: "10.96.0.0/12", enableLB: true, portSecurity: true, restrictSubnets: true, limits: model.DefaultLimits,
		serviceSource: model.PrefixesText(compile.DefaultServiceSource), clusterDomain: "cluster.local",
		lease: kube.LeaseConfig{
			Namespace: "kube-system", Name: "woven-controller",
			Duration: 30 * time.Second, RenewDeadline: 20 * time.Second, RetryPeriod: 6 * time.Second,
		},
		bindHost: "127.0.0.1", port: 10660, enableMetrics: true, observation: cli.Observation{HealthAddress: ":10662"},
		logLevel: "info", logFormat: "console",
		webhook: webhookDefaults(), gatewayLeases: model.HeartbeatNamespace,
	}
}

// flags returns the flags, grouped for the help.
func (o *options) flags() cliflag.NamedFlagSets {
	var sets cliflag.NamedFlagSets
	f := sets.FlagSet("database")
	f.StringVar(&o.nbAddr, "ovn-nb-addr", o.nbAddr, "Northbound database: tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH; the members of a cluster separated by commas.")
	f.StringVar(&o.sbAddr, "ovn-sb-addr", o.sbAddr, "Southbound database; accepted for compatibility, nothing is read from it.")
	f.IntVar(&o.inactivitySeconds, "ovsdb-inactivity-timeout", o.inactivitySeconds, "Seconds without traffic after which an echo request is sent to the database; after twice as long the next member is tried.")
	f.StringVar(&o.tlsCert, "tls-cert", o.tlsCert, "Client certificate for ssl: addresses (PEM file).")
	f.StringVar(&o.tlsKey, "tls-key", o.tlsKey, "Private key of the client certificate (PEM file).")
	f.StringVar(&o.tlsCA, "tls-ca", o.tlsCA, "CA certificates that verify the databases' certificates (PEM file).")

	f = sets.FlagSet("API server")
	f.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "Kubeconfig file; empty: the service account of the pod.")
	f.IntVar(&o.apiWriters, "api-writers", o.apiWriters, "Number of concurrent writes of addresses to the API server.")

	f = sets.FlagSet("network")
	f.StringVar(&o.clusterRouter, "cluster-router", o.clusterRouter, "Name of the default Vpc; created if it does not exist.")
	f.StringVar(&o.defaultLS, "default-ls", o.defaultLS, "Name of the Subnet of namespaces without a Subnet of their own; created if it does not exist.")
	f.StringVar(&o.defaultCIDR, "default-cidr", o.defaultCIDR, "CIDR of the default Subnet; for dual stack an IPv4 and an IPv6 CIDR, separated by a comma.")
	f.StringVar(&o.defaultGateway, "default-gateway", o.defaultGateway, "Gateway of the default Subnet; empty: the first address of each family.")
	f.StringVar(&o.defaultExclude, "default-exclude-ips", o.defaultExclude, "Addresses (a) and ranges (a..b) of the default Subnet that are not allocated, separated by commas.")
	f.StringVar(&o.nodeSwitch, "node-switch", o.nodeSwitch, "Name of the Subnet of the nodes' ports; created if it does not exist.")
	f.StringVar(&o.nodeCIDR, "node-switch-cidr", o.nodeCIDR, "CIDR of the nodes' Subnet; for dual stack an IPv4 and an IPv6 CIDR, separated by a comma.")
	f.StringVar(&o.nodeGW, "node-switch-gateway", o.nodeGW, "Gateway of the nodes' Subnet; empty: the first address of each family.")
	f.StringVar(&o.serviceRange, "service-cluster-ip-range", o.serviceRange, "CIDR of ClusterIPs, as kube-apiserver has it; for dual stack a pair. The default Subnet and the nodes' Subnet must not overlap it. In a cluster without ServiceCIDRs (Kubernetes before 1.33) no Subnet may.")
	f.StringSliceVar(&o.namespaceSubnets, "namespace-subnet-cidrs", o.namespaceSubnets, "CIDRs inside which the annotations of a namespace may describe a Subnet, which is then created; empty: none. 0.0.0.0/0,::/0 permits any, as with Kube-OVN.")
	f.BoolVar(&o.restrictSubnets, "restrict-subnet-namespaces", o.restrictSubnets, "A pod may name a private Subnet, or a Subnet or IPPool with namespaces in its spec, only if that is for its namespace; false: it may name any, as with Kube-OVN.")
	f.BoolVar(&o.portSecurity, "default-port-security", o.portSecurity, "Ports of Subnets without the annotation ovn.kubernetes.io/port_security may only send with their own MAC address and addresses; false: they may send anything, as with Kube-OVN.")
	f.BoolVar(&o.enableLB, "enable-lb", o.enableLB, "OVN load-balances Services for the nodes and for pods of Subnets that do not set spec.enableLb; false: kube-proxy is needed.")
	f.StringVar(&o.serviceSource, "node-service-cidr", o.serviceSource, "CIDR of the source addresses of hosts for Services, one address per node; for dual stack a pair. Nothing else may use these addresses.")
	f.IntVar(&o.limits.PolicyElements, "max-policy-elements", o.limits.PolicyElements, "Maximum number of elements (addresses, selectors and ports) of one NetworkPolicy; rules beyond it allow nothing. 0: no limit.")
	f.IntVar(&o.limits.ServiceBackends, "max-service-backends", o.limits.ServiceBackends, "Maximum number of pairs of a frontend (address and port) and a backend of one Service; what exceeds it is left out. The same as that of woven-cniserver. 0: no limit.")
	f.BoolVar(&o.enableDNS, "enable-ovn-dns", o.enableDNS, "OVN answers DNS queries of pods for the names of Services (A, AAAA, PTR); all other queries go to the cluster's DNS.")
	f.StringVar(&o.clusterDomain, "cluster-domain", o.clusterDomain, "DNS domain of the cluster, as the kubelets have it, for --enable-ovn-dns.")

	f = sets.FlagSet("leadership")
	f.StringVar(&o.lease.Namespace, "leader-elect-resource-namespace", o.lease.Namespace, "Namespace of the Lease for leader election.")
	f.StringVar(&o.gatewayLeases, "gateway-lease-namespace", o.gatewayLeases, "Namespace of the Leases that gateway nodes renew as a heartbeat; the same as that of woven-cniserver.")
	f.StringVar(&o.lease.Name, "leader-elect-resource-name", o.lease.Name, "Name of the Lease for leader election.")
	f.StringVar(&o.lease.Identity, "leader-elect-identity", o.lease.Identity, "Identity of this process in the Lease; empty: the host name and a random suffix.")
	f.DurationVar(&o.lease.Duration, "leader-elect-lease-duration", o.lease.Duration, "How long a standby waits after the leader's last renewal before it takes the Lease.")
	f.DurationVar(&o.lease.RenewDeadline, "leader-elect-renew-deadline", o.lease.RenewDeadline, "How long the leader tries to renew the Lease before it stops writing.")
	f.DurationVar(&o.lease.RetryPeriod, "leader-elect-retry-period", o.lease.RetryPeriod, "Time between two attempts to take or renew the Lease.")

	f = sets.FlagSet("observation")
	f.StringVar(&o.bindHost, "bind-address", o.bindHost, "Address on which /metrics, /healthz, /readyz and profiles are served; empty: all addresses. Beyond loopback it needs TLS and a token with the ClusterRole woven-metrics-reader.")
	f.IntVar(&o.port, "pprof-port", o.port, "Port on which /metrics, /healthz, /readyz and profiles are served; 0: any free port.")
	f.BoolVar(&o.enableMetrics, "enable-metrics", o.enableMetrics, "Serve /metrics, /healthz and /readyz; false: nothing is served, not even profiles.")
	f.BoolVar(&o.enablePprof, "enable-pprof", o.enablePprof, "Serve profiles under /debug/pprof, and what the controller knows of each object under /debug/woven (woven-check why).")
	o.observation.Flags(f)
	f.StringVar(&o.logLevel, "log-level", o.logLevel, "Lowest level that is logged: debug, info or error.")
	f.StringVar(&o.logFormat, "log-format", o.logFormat, "Format of the log: console or json.")

	o.webhook.flags(sets.FlagSet("webhook"))
	return sets
}

func (o *options) defaultsOfCluster() kube.Defaults {
	var exclude []string
	for text := range strings.SplitSeq(o.defaultExclude, ",") {
		if text = strings.TrimSpace(text); text != "" {
			exclude = append(exclude, text)
		}
	}
	return kube.Defaults{
		Names:   kube.Names{ClusterRouter: o.clusterRouter, DefaultSubnet: o.defaultLS, NodeSwitch: o.nodeSwitch},
		Default: kube.SubnetPlan{CIDR: o.defaultCIDR, Gateway: o.defaultGateway, ExcludeIPs: exclude},
		Join:    kube.SubnetPlan{CIDR: o.nodeCIDR, Gateway: o.nodeGW},
	}
}

// validate checks the flags. Its errors name the invalid flag.
func (o *options) validate() error {
	var all []error
	for flag, list := range map[string]string{"ovn-nb-addr": o.nbAddr, "ovn-sb-addr": o.sbAddr} {
		if _, err := client.ParseEndpoints(list); err != nil {
			all = append(all, fmt.Errorf("flag --%s: %w", flag, err))
		}
	}
	if given := o.tlsCert != "" || o.tlsKey != "" || o.tlsCA != ""; given && (o.tlsCert == "" || o.tlsKey == "" || o.tlsCA == "") {
		all = append(all, errors.New("flags --tls-cert, --tls-key and --tls-ca belong together: set all or none"))
	}
	if o.clusterRouter != model.DefaultVpc {
		all = append(all, fmt.Errorf("flag --cluster-router: %q: only %q is supported, the Vpc of a Subnet without spec.vpc", o.clusterRouter, model.DefaultVpc))
	}
	if o.inactivitySeconds <= 0 || o.apiWriters <= 0 {
		all = append(all, errors.New("flags --ovsdb-inactivity-timeout and --api-writers must be greater than 0"))
	}
	if o.port < 0 || o.port > 65535 {
		all = append(all, fmt.Errorf("flag --pprof-port: %d is not a port", o.port))
	}
	if wrong := validation.IsDNS1123Subdomain(o.domain()); len(wrong) > 0 {
		all = append(all, fmt.Errorf("flag --cluster-domain: %q: %s", o.clusterDomain, strings.Join(wrong, "; ")))
	}
	all = append(all, o.defaultsOfCluster().Validate("default-", "node-switch-"), o.validateRanges(), o.validateNamespaceSubnets(), o.validateLimits(), o.webhook.validate(), o.observation.Validate())
	return errors.Join(all...)
}

// namespaceRanges parses --namespace-subnet-cidrs.
func (o *options) namespaceRanges() (out []netip.Prefix, err error) {
	for _, text := range o.namespaceSubnets {
		p, bad := netip.ParsePrefix(strings.TrimSpace(text))
		if bad != nil {
			return nil, fmt.Errorf("--namespace-subnet-cidrs: %w", bad)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func (o *options) validateNamespaceSubnets() error {
	_, err := o.namespaceRanges()
	return err
}

func (o *options) validateLimits() error {
	if o.limits.PolicyElements < 0 || o.limits.ServiceBackends < 0 {
		return errors.New("flags --max-policy-elements and --max-service-backends must not be negative")
	}
	return nil
}

// domain returns the cluster's domain without a trailing dot.
func (o *options) domain() string { return strings.TrimSuffix(o.clusterDomain, ".") }

// validateRanges checks that the CIDRs of pods, nodes and Services do not overlap.
func (o *options) validateRanges() error {
	type given struct {
		flag, text string
		cidrs      model.Prefixes
	}
	var before []given
	for _, g := range []given{
		{flag: "default-cidr", text: o.defaultCIDR},
		{flag: "node-switch-cidr", text: o.nodeCIDR},
		{flag: "service-cluster-ip-range", text: o.serviceRange},
		{flag: "node-service-cidr", text: o.serviceSource},
	} {
		var err error
		if g.cidrs, err = model.ParsePrefixes(g.text); err != nil {
			return fmt.Errorf("flag --%s: %q: %w", g.flag, g.text, err)
		}
		for _, other := range before {
			if a, b, overlap := overlapping(other.cidrs, g.cidrs); overlap {
				return fmt.Errorf("flags --%s and --%s overlap: %s and %s", other.flag, g.flag, a, b)
			}
		}
		before = append(before, g)
	}
	return nil
}

func overlapping(a, b model.Prefixes) (of, with netip.Prefix, overlap bool) {
	for _, of := range model.PrefixFamilies(a) {
		for _, with := range model.PrefixFamilies(b) {
			if of.Overlaps(with) {
				return of, with, true
			}
		}
	}
	return of, with, false
}

// healthBind is where only health checks are served.
func (o *options) healthBind() string {
	if !o.enableMetrics {
		return "0"
	}
	return o.observation.HealthAddress
}

func (o *options) bind() string {
	if !o.enableMetrics {
		return "0"
	}
	return net.JoinHostPort(o.bindHost, strconv.Itoa(o.port))
}

func (o *options) logger(w io.Writer) (logr.Logger, error) {
	level, err := zapcore.ParseLevel(o.logLevel)
	if err != nil {
		return logr.Logger{}, fmt.Errorf("flag --log-level: %w", err)
	}
	encode := map[string]zap.Opts{"console": zap.ConsoleEncoder(), "json": zap.JSONEncoder()}[o.logFormat]
	if encode == nil {
		return logr.Logger{}, fmt.Errorf("flag --log-format: %q is neither console nor json", o.logFormat)
	}
	return zap.New(zap.WriteTo(w), zap.Level(level), encode, func(z *zap.Options) { z.TimeEncoder = zapcore.RFC3339NanoTimeEncoder }), nil
}

// setLoggers sets the loggers of the libraries.
func setLoggers(log logr.Logger) {
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client-go"))
}
