// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/commit"
	"github.com/wovensdn/woven/pkg/inspect"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/ovsdb/client"
	"github.com/wovensdn/woven/pkg/version"
)

// shutdownTimeout limits how long the parts may take to stop.
const shutdownTimeout = 10 * time.Second

// restConfig sets no rate limit on the client's side: the API server has its own (API Priority and Fairness).
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
	config.UserAgent = "woven-controller/" + version.String()
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

func newManager(o *options, api *rest.Config, health *apihealth.Reporter, ready func() error, engine inspect.Engine, log logr.Logger) (manager.Manager, error) {
	scheme, err := kube.Scheme()
	if err != nil {
		return nil, fmt.Errorf("create scheme: %w", err)
	}
	mgr, err := ctrl.NewManager(api, ctrl.Options{
		Scheme: scheme, Logger: log, Cache: kube.CacheOptions(kube.LimitedKinds(o.limits), health), GracefulShutdownTimeout: new(shutdownTimeout),
		HealthProbeBindAddress: o.healthBind(), Metrics: o.observation.Server(o.bind(), handlers(o.enablePprof, ready, engine)),
	})
	if err != nil {
		return nil, fmt.Errorf("create manager: %w", err)
	}
	err = errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ready", func(*http.Request) error { return ready() }))
	if err != nil {
		return nil, fmt.Errorf("create manager: %w", err)
	}
	return mgr, nil
}

func handlers(profiles bool, ready func() error, engine inspect.Engine) map[string]http.Handler {
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
		maps.Copy(out, inspect.Handlers(engine))
	}
	return out
}
