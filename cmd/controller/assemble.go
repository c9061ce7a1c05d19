package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	kubeclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/metrics"
	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
)

// shutdownTime is how long what runs may take to end.
const shutdownTime = 10 * time.Second

// relay breaks the circle between the engine, which needs the database and the
// writer, and those two, which tell the engine their news.
type relay struct {
	*engine.Engine
	*metrics.Metrics
	connected atomic.Bool
}

// Connected is told by the engine, for readiness and metrics.
func (r *relay) Connected(connected bool) {
	r.connected.Store(connected)
	r.Metrics.Connected(connected)
}

// assemble makes everything and starts nothing.
func assemble(o *options, log logr.Logger) (manager.Manager, error) {
	clk := clock.RealClock{}
	api, err := restConfig(o.kubeconfig)
	if err != nil {
		return nil, err
	}
	collectors, err := metrics.New(ctrlmetrics.Registry)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	r := &relay{Metrics: collectors}
	db, err := database(o, r, log)
	if err != nil {
		return nil, err
	}
	outage := &apihealth.Reporter{Server: api.Host, Log: log, Clock: clk}
	var in *kube.Intake
	mgr, err := newManager(o, api, outage, func() error {
		switch {
		case in == nil || !in.Synced():
			return errors.New("the objects of the API server are not all known yet")
		case !r.connected.Load():
			return errors.New("the northbound database is not connected")
		}
		return nil
	}, log)
	if err != nil {
		return nil, err
	}
	direct, clientset, err := clients(api, mgr)
	if err != nil {
		return nil, err
	}
	probe := &kube.Probe{API: clientset.Discovery().RESTClient(), Outage: outage, Clock: clk, Log: log}
	servers := model.APIServerAddresses(api.Host, os.Getenv("KUBERNETES_SERVICE_HOST"))
	sink, cluster := o.sink(r, servers)
	in = kube.NewIntake(sink, mgr.GetCache(), probe.Wait, outage, clk)
	wanted := o.defaultsOfCluster()
	status := kube.NewStatus(direct, in, mgr.GetEventRecorder("woven-controller"), collectors, wanted.Names, outage, clk, log.WithName("status"))
	writer := kube.NewWriter(direct, in, status, collectors, o.apiWriters)
	keeper := kube.NewKeeper(direct, in, collectors, wanted, outage, clk, log.WithName("keeper"))
	r.Engine = engine.New(engine.Config{
		Functions: compile.Functions(o.compile(servers)), Writer: writer, Observer: r, Now: clk.Now, Log: log.WithName("engine"),
	}, db)
	leader, err := kube.NewLeader(api, o.ownLease(), outage, clk, log, collectors.Lead, writer.Lead, keeper.Lead, r.Engine.Lead)
	if err != nil {
		return nil, err
	}
	writer.HoldWhile(leader.Holds)
	heartbeats, err := kube.NewHeartbeats(clientset, o.gatewayLeases, in, outage, log.WithName("heartbeats"))
	if err != nil {
		return nil, err
	}
	writer.ExplainBy(heartbeats.Lost)
	if err := o.addWebhook(mgr, cluster, clientset, outage, clk, log); err != nil {
		return nil, err
	}
	return mgr, add(mgr, always(db.Run), always(r.Run), in, writer, status, keeper, heartbeats, leader)
}

// compile is what compile functions must know of the flags.
func (o *options) compile(servers []netip.Addr) compile.Config {
	source, err := model.ParsePrefixes(o.serviceSource)
	if err != nil {
		source = model.Prefixes{} // validate has refused it
	}
	domain := ""
	if o.enableDNS {
		domain = o.domain()
	}
	return compile.Config{
		DNSDomain:     domain,
		ClusterRouter: o.clusterRouter, NodeSwitch: o.nodeSwitch, DefaultSubnet: o.defaultLS,
		LoadBalancers: o.enableLB, ServiceSource: source, APIServers: servers,
	}
}

// clients have no cache; they share the manager's connections.
func clients(api *rest.Config, mgr manager.Manager) (kubeclient.Client, *kubernetes.Clientset, error) {
	direct, err := kubeclient.New(api, kubeclient.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return nil, nil, fmt.Errorf("make API client: %w", err)
	}
	clientset, err := kubernetes.NewForConfigAndClient(api, mgr.GetHTTPClient())
	if err != nil {
		return nil, nil, fmt.Errorf("make API client: %w", err)
	}
	return direct, clientset, nil
}

func add(mgr manager.Manager, runnables ...manager.Runnable) error {
	for _, r := range runnables {
		if err := mgr.Add(r); err != nil {
			return fmt.Errorf("add to manager: %w", err)
		}
	}
	return nil
}

// always runs whether or not this process leads.
type always func(context.Context) error

func (a always) Start(ctx context.Context) error { return a(ctx) }

// NeedLeaderElection is false.
func (always) NeedLeaderElection() bool { return false }

// ownLease is the Lease with this process's identity.
func (o *options) ownLease() kube.LeaseConfig {
	lease := o.lease
	if lease.Identity != "" {
		return lease
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	lease.Identity = host + "_" + uuid.NewString()
	return lease
}

// restConfig has no limit on the client's side: the API server has its own
// (API Priority and Fairness), and it knows better.
func restConfig(kubeconfig string) (*rest.Config, error) {
	load := rest.InClusterConfig
	if kubeconfig != "" {
		load = func() (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", kubeconfig) }
	}
	config, err := load()
	if err != nil {
		return nil, fmt.Errorf("flag --kubeconfig: %w", err)
	}
	config.QPS = -1
	config.UserAgent = "woven-controller/" + version
	return config, nil
}

func database(o *options, handler client.Handler, log logr.Logger) (*client.DB, error) {
	endpoints, err := client.ParseEndpoints(o.nbAddr)
	if err != nil {
		return nil, fmt.Errorf("flag --ovn-nb-addr: %w", err)
	}
	var secure *tls.Config
	if o.tlsCert != "" {
		if secure, err = client.LoadTLS(o.tlsCert, o.tlsKey, o.tlsCA); err != nil {
			return nil, fmt.Errorf("flags --tls-*: %w", err)
		}
	}
	db, err := client.New(client.Config{
		Database: client.NB, Endpoints: endpoints, TLS: secure, Tables: commit.Tables(), Handler: handler,
		Probe: time.Duration(o.inactivitySeconds) * time.Second, Log: log.WithName("northbound"),
	})
	if err != nil {
		return nil, fmt.Errorf("flag --ovn-nb-addr: %w", err)
	}
	return db, nil
}

func newManager(o *options, api *rest.Config, outage *apihealth.Reporter, ready func() error, log logr.Logger) (manager.Manager, error) {
	scheme, err := kube.Scheme()
	if err != nil {
		return nil, fmt.Errorf("make scheme: %w", err)
	}
	wait := shutdownTime
	mgr, err := ctrl.NewManager(api, ctrl.Options{
		Scheme: scheme, Logger: log, Cache: kube.CacheOptions(kube.AllKinds(), outage), GracefulShutdownTimeout: &wait,
		HealthProbeBindAddress: "0", // with the metrics, on one port
		Metrics:                server.Options{BindAddress: o.bind(), ExtraHandlers: handlers(o.enablePprof, ready)},
	})
	if err != nil {
		return nil, fmt.Errorf("make manager: %w", err)
	}
	return mgr, nil
}

func handlers(profiles bool, ready func() error) map[string]http.Handler {
	out := map[string]http.Handler{
		"/healthz": healthz.CheckHandler{Checker: healthz.Ping},
		"/livez":   healthz.CheckHandler{Checker: healthz.Ping},
		"/readyz":  healthz.CheckHandler{Checker: func(*http.Request) error { return ready() }},
	}
	if profiles {
		out["/debug/pprof/"] = http.HandlerFunc(pprof.Index)
		out["/debug/pprof/cmdline"] = http.HandlerFunc(pprof.Cmdline)
		out["/debug/pprof/profile"] = http.HandlerFunc(pprof.Profile)
		out["/debug/pprof/symbol"] = http.HandlerFunc(pprof.Symbol)
		out["/debug/pprof/trace"] = http.HandlerFunc(pprof.Trace)
	}
	return out
}
