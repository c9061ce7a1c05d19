// SPDX-License-Identifier: Apache-2.0

package cniserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/cniserver"
	"github.com/wovensdn/woven/pkg/events"
	"github.com/wovensdn/woven/pkg/node"
	"github.com/wovensdn/woven/pkg/node/driver/conntrack"
	"github.com/wovensdn/woven/pkg/node/driver/link"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/ovs"
	"github.com/wovensdn/woven/pkg/node/driver/route"
	"github.com/wovensdn/woven/pkg/node/driver/rule"
	"github.com/wovensdn/woven/pkg/node/gatewayprobe"
	"github.com/wovensdn/woven/pkg/node/healthport"
	"github.com/wovensdn/woven/pkg/node/hostplan"
	"github.com/wovensdn/woven/pkg/node/hoststate"
	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/node/podwaiter"
	"github.com/wovensdn/woven/pkg/node/projection"
	"github.com/wovensdn/woven/pkg/node/services"
)

const (
	installedTimeout = 30 * time.Second
	echoTimeout      = time.Second
	shutdownTimeout  = 20 * time.Second
)

// daemon has the parts of the program.
type daemon struct {
	mgr    manager.Manager
	ovs    *ovs.Driver
	host   *hoststate.Reconciler
	prober *gatewayprobe.Prober
	heart  *gatewayprobe.Heartbeat
	pods   *podwaiter.Waiter
	server *cniserver.Server
	// services forwards traffic from outside of OVN to Services.
	services *services.Forwarder
	events   *events.Writer
	log      logr.Logger
}

func run(ctx context.Context, o *options, log logr.Logger) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("read kubeconfig %q: %w", o.kubeconfig, err)
	}
	health := &apihealth.Reporter{Server: cfg.Host, Clock: clock.RealClock{}, Log: log.WithName("cluster")}
	cfg.Wrap(health.Wrap)
	d := &daemon{log: log}
	if d.mgr, err = newManager(cfg, o, d, health, log); err != nil {
		return err
	}
	d.ovs, err = ovs.New(ovs.Config{Endpoint: "unix:" + o.ovsSocket, Log: log.WithName("ovs"), OnChange: func() { d.host.Kick() }})
	if err != nil {
		return fmt.Errorf("set up OVS driver: %w", err)
	}
	leases, err := gatewayprobe.NewLeases(cfg, o.leaseNamespace)
	if err != nil {
		return err
	}
	if err := d.wire(o, cfg, leases, health, log); err != nil {
		return err
	}
	return d.start(ctx)
}

// newManager creates the client of the API server. It sends no request yet.
func newManager(cfg *rest.Config, o *options, d *daemon, health *apihealth.Reporter, log logr.Logger) (manager.Manager, error) {
	scheme, err := projection.Scheme()
	if err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	ready := func() error { return health.Explain(d.host.Ready()) }
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                 scheme,
		MapperProvider:         func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return projection.Mapper(), nil },
		Cache:                  cache.Options{ByObject: projection.CacheByObject(o.nodeName), DefaultWatchErrorHandler: health.WatchError},
		HealthProbeBindAddress: o.observation.HealthAddress,
		Metrics: o.observation.Server(o.bindAddress, map[string]http.Handler{
			"/healthz": hoststate.Probe(func() error { return nil }),
			"/readyz":  hoststate.Probe(ready),
		}),
		GracefulShutdownTimeout: new(shutdownTimeout),
		Logger:                  log,
	})
	if err != nil {
		return nil, fmt.Errorf("set up client of %s: %w", cfg.Host, err)
	}
	err = errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ready", func(*http.Request) error { return ready() }))
	if err != nil {
		return nil, fmt.Errorf("set up health checks: %w", err)
	}
	return mgr, nil
}

// wire connects the parts.
func (d *daemon) wire(o *options, api *rest.Config, leases gatewayprobe.Leases, health *apihealth.Reporter, log logr.Logger) error {
	links, err1 := link.NewLinux()
	routes, err2 := route.NewLinux()
	rules, err3 := rule.NewLinux()
	counters, err4 := hoststate.NewMetrics(metrics.Registry)
	plumber, err5 := plumb.New(plumb.Config{
		Switch: d.ovs, Bridge: hostplan.IntegrationBridge, MTU: hostplan.MTU(o.mtu, 0, false),
		InstalledTimeout: installedTimeout, Log: log.WithName("plumb"),
	})
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	forwards := &nft.Driver{}
	d.services = services.New(services.Edges{
		Tables: forwards, Flows: conntrack.Linux{}, Datapath: conntrack.Datapath{RunDir: filepath.Dir(o.ovsSocket)}, Health: &healthport.Servers{},
		Limits: o.limits, Clock: clock.RealClock{}, Log: log.WithName("services"), Changed: counters.Changed,
	})
	d.heart = gatewayprobe.NewHeartbeat(leases, o.nodeName, clock.RealClock{}, log.WithName("gateway"))
	clientset, err := kubernetes.NewForConfigAndClient(api, d.mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("create API client: %w", err)
	}
	d.events = events.NewWriter(clientset, "woven-cniserver")
	d.prober = gatewayprobe.New(gatewayprobe.ICMP{Timeout: echoTimeout}, clock.RealClock{}, func() { d.host.Kick() }, d.heart.Answered)
	servers := apiServers(api.Host, os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	d.host = hoststate.New(hoststate.Config{
		NodeName: o.nodeName, DefaultVpc: o.clusterRouter, MTU: o.mtu, Mirror: o.enableMirror, MirrorLink: o.mirrorIface,
		APIServers: servers.addresses, APIServerClusterIP: servers.clusterIP, APIServerPorts: servers.ports,
		Conf: hoststate.ConfFile{Dir: o.confDir, Name: o.confName, Socket: o.bindSocket, BinDir: o.binDir},
	}, hoststate.Edges{
		Cache: d.mgr.GetCache(), API: d.mgr.GetClient(), Switch: d.ovs, Links: links, Ingress: plumb.Userspace{},
		Routes: routes, Rules: rules, Tables: &nft.Driver{}, Forwards: forwards, Addresses: net.InterfaceAddrs,
		Publish: d.services.SetInputs, NICs: plumber,
		Gateways: d.prober, Heartbeat: d.heart, Clock: clock.RealClock{}, Log: log.WithName("node"), Metrics: counters, Events: d.events,
	})
	d.pods = &podwaiter.Waiter{
		Cache: d.mgr.GetCache(), Live: d.mgr.GetAPIReader(), Records: d.mgr.GetAPIReader(), MTU: d.host.MTU, Problem: health.String, NodeName: o.nodeName,
	}
	d.server, err = cniserver.New(cniserver.Config{
		Socket: o.bindSocket, Pods: d.pods, Plumber: plumber, Ready: d.host.Ready,
		Registerer: metrics.Registry, Clock: clock.RealClock{}, Log: log.WithName("cni"),
	})
	return err
}

// start runs all parts until ctx ends or one of them fails.
func (d *daemon) start(ctx context.Context) error {
	if err := metrics.Registry.Register(d.host.GatewayMetrics(ctx)); err != nil {
		return fmt.Errorf("register metrics of gateways: %w", err)
	}
	for _, f := range []manager.RunnableFunc{
		d.ovs.Run,
		d.server.Run,
		func(ctx context.Context) error { d.host.WatchSocket(ctx); return nil },
		d.runNode,
		d.events.Start,
	} {
		if err := d.mgr.Add(f); err != nil {
			return fmt.Errorf("start: %w", err)
		}
	}
	return d.mgr.Start(ctx)
}

// runNode starts the loops of the node once all objects are known: a plan from incomplete objects would remove state
// that is still needed. Only what keeps the objects from being known is removed before.
func (d *daemon) runNode(ctx context.Context) error {
	if err := d.host.Release(ctx); err != nil {
		d.log.Error(err, "what an earlier process left may take traffic to the API server")
	}
	var g errgroup.Group
	g.Go(func() error { return node.WatchCluster(ctx, d.mgr.GetCache(), d.host, d.pods, d.services) })
	g.Go(func() error { return d.resumeMoves(ctx) })
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, run := range []func(context.Context){
		d.host.WatchKernel, d.services.WatchKernel, d.prober.Run, d.heart.Run, d.services.Run, d.host.Run,
	} {
		wg.Go(func() { run(ctx) })
	}
	return nil
}

// resumeMoves finishes moves of addresses that an earlier process did not finish. It does not wait for the API server:
// the host may not reach it before.
func (d *daemon) resumeMoves(ctx context.Context) error {
	if err := d.ovs.WaitSynced(ctx); err != nil {
		return err
	}
	if err := d.host.ResumeMoves(ctx); err != nil {
		d.log.Error(err, "cannot finish the move of addresses between a link and its bridge, retrying once the cluster's objects are known")
	}
	return nil
}
