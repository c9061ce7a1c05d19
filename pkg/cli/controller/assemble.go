// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	kubeclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/compile"
	"github.com/wovensdn/woven/pkg/engine"
	"github.com/wovensdn/woven/pkg/events"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/metrics"
	"github.com/wovensdn/woven/pkg/model"
)

// relay breaks the cycle between the engine, which needs the database and the writer, and those two, which notify the
// engine. It also records what the engine reports in the metrics.
type relay struct {
	*engine.Engine
	*metrics.Metrics
	connected atomic.Bool
}

// Connected records whether the northbound database is connected, for readiness and metrics.
func (r *relay) Connected(connected bool) {
	r.connected.Store(connected)
	r.Metrics.Connected(connected)
}

// assemble creates all parts and starts none.
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
	health := &apihealth.Reporter{Server: api.Host, Log: log, Clock: clk}
	var in *kube.Intake
	mgr, err := newManager(o, api, health, func() error {
		switch {
		case in == nil || !in.Synced():
			return errors.New("the caches of the API server have not synced yet")
		case !r.connected.Load():
			return errors.New("the northbound database is not connected")
		}
		return nil
	}, r, log)
	if err != nil {
		return nil, err
	}
	direct, clientset, err := clients(api, mgr)
	if err != nil {
		return nil, err
	}
	probe := &kube.Probe{API: clientset.Discovery().RESTClient(), Health: health, Clock: clk, Log: log}
	servers := model.APIServerAddresses(api.Host, os.Getenv("KUBERNETES_SERVICE_HOST"))
	sink, cluster := o.sink(r, servers)
	in = kube.NewIntake(sink, mgr.GetCache(), probe.Wait, health, clk)
	in.Kinds = kube.LimitedKinds(o.limits)
	wanted := o.defaultsOfCluster()
	recorder := events.NewWriter(clientset, "woven-controller")
	status := kube.NewStatus(direct, in, recorder, collectors, wanted.Names, health, clk, log.WithName("status"))
	writer := kube.NewWriter(direct, in, status, collectors, o.apiWriters)
	bootstrapper := kube.NewBootstrapper(direct, in, collectors, wanted, health, clk, log.WithName("bootstrapper"))
	r.Engine = engine.New(engine.Config{
		Functions: compile.Functions(o.compile(servers)), Writer: writer, Observer: r, Now: clk.Now, Log: log.WithName("engine"),
	}, db)
	leader, err := kube.NewLeader(api, o.ownLease(), health, clk, log, collectors.Lead, writer.Lead, bootstrapper.Lead, r.Engine.Lead)
	if err != nil {
		return nil, err
	}
	writer.HoldWhile(leader.Holds)
	r.HoldWhile(leader)
	heartbeats, err := kube.NewHeartbeats(clientset, o.gatewayLeases, in, health, log.WithName("heartbeats"))
	if err != nil {
		return nil, err
	}
	writer.ExplainBy(heartbeats.Lost)
	if err := o.addWebhook(mgr, cluster, clientset, health, clk, log); err != nil {
		return nil, err
	}
	return mgr, add(mgr, always(db.Run), always(r.Run), in, writer, recorder, status, bootstrapper, heartbeats, leader)
}

// compile returns the configuration of the compile functions.
func (o *options) compile(servers []netip.Addr) compile.Config {
	ranges := func(flag string) model.Prefixes {
		p, err := model.ParsePrefixes(flag)
		if err != nil {
			return model.Prefixes{} // validate has refused it
		}
		return p
	}
	domain := ""
	if o.enableDNS {
		domain = o.domain()
	}
	permitted, _ := o.namespaceRanges() // validate has refused what does not parse
	return compile.Config{
		NamespaceSubnets: permitted, OpenSubnets: !o.restrictSubnets, DNSDomain: domain, Limits: o.limits,
		ClusterRouter: o.clusterRouter, NodeSwitch: o.nodeSwitch, DefaultSubnet: o.defaultLS,
		LoadBalancers: o.enableLB, PortSecurity: o.portSecurity, ServiceSource: ranges(o.serviceSource), ServiceRange: ranges(o.serviceRange), APIServers: servers,
		Databases: model.DatabaseAddresses(o.nbAddr, o.sbAddr),
	}
}

// clients returns clients without a cache; they share the manager's connections.
func clients(api *rest.Config, mgr manager.Manager) (kubeclient.Client, *kubernetes.Clientset, error) {
	direct, err := kubeclient.New(api, kubeclient.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	if err != nil {
		return nil, nil, fmt.Errorf("create API client: %w", err)
	}
	clientset, err := kubernetes.NewForConfigAndClient(api, mgr.GetHTTPClient())
	if err != nil {
		return nil, nil, fmt.Errorf("create API client: %w", err)
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

// always is a runnable that runs whether or not this process is the leader.
type always func(context.Context) error

func (a always) Start(ctx context.Context) error { return a(ctx) }

// NeedLeaderElection is false.
func (always) NeedLeaderElection() bool { return false }

// ownLease returns the Lease with this process's identity.
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
