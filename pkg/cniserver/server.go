// SPDX-License-Identifier: Apache-2.0

// Package cniserver serves the CNI plugin of a node: HTTP over a unix socket that only root can use. It waits until the
// controller has allocated a pod's addresses, and calls package plumb for the interfaces.
package cniserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/wovensdn/woven/pkg/node/plumb"
	"github.com/wovensdn/woven/pkg/podnet"
)

const (
	readTimeout     = 10 * time.Second
	idleTimeout     = 30 * time.Second
	maxHeaderBytes  = 16 << 10
	shutdownTimeout = 15 * time.Second
	// checkTimeout bounds CHECK's wait for the pod, which is cached unless the server has just started.
	checkTimeout = 5 * time.Second
	// responseMargin is the part of a request's timeout reserved for its response.
	responseMargin = 5 * time.Second

	defaultTimeout        = 90 * time.Second
	defaultAddressTimeout = 45 * time.Second
	defaultMaxInFlight    = 256
)

// Pods provides the pods of this node.
type Pods interface {
	// Wait returns the network of one NIC as soon as the controller has allocated and programmed it. It reacts to
	// events and does not poll. If ref has a UID, it waits for the pod with that UID. When ctx ends, the error names
	// what is missing and wraps ctx's error. An annotation that does not parse is an error at once.
	Wait(ctx context.Context, ref podnet.Ref) (podnet.Network, error)
}

// Plumber creates and removes interfaces on the node; see [plumb.Plumber].
type Plumber interface {
	Add(ctx context.Context, req plumb.Request) (plumb.Result, error)
	Del(ctx context.Context, a plumb.Attachment) error
	Check(ctx context.Context, req plumb.Request) error
	GC(ctx context.Context, valid []plumb.Attachment) error
	Status(ctx context.Context) error
}

// Config configures a [Server].
type Config struct {
	// Socket is the path of the unix socket.
	Socket  string
	Pods    Pods
	Plumber Plumber
	// Ready returns nil when ADD can be served, else the reason. A nil func means always ready.
	Ready func() error
	// Timeout bounds one operation; 0 means 90 s. The plugin's timeout is longer.
	Timeout time.Duration
	// AddressTimeout bounds ADD's wait for the controller; 0 means 45 s.
	AddressTimeout time.Duration
	// MaxInFlight bounds the concurrent ADDs, and separately all other operations; 0 means 256. Further requests are
	// refused with 503, and the runtime retries.
	MaxInFlight int
	// AllowedUIDs are the uids that may connect; nil means root and the server's own.
	AllowedUIDs []uint32
	// Registerer registers the metrics.
	Registerer prometheus.Registerer
	Clock      clock.PassiveClock
	Log        logr.Logger
}

// Server is the HTTP server of the plugin.
type Server struct {
	cfg     Config
	metrics *Metrics
	adds    chan struct{} // one token per running ADD
	others  chan struct{}
}

// New checks the configuration, fills in its defaults and registers the metrics.
func New(cfg Config) (*Server, error) {
	if cfg.Pods == nil || cfg.Plumber == nil || cfg.Registerer == nil || cfg.Clock == nil {
		return nil, errors.New("cniserver: pods, plumber, registerer and clock are required")
	}
	if cfg.Timeout < 0 || cfg.AddressTimeout < 0 || cfg.MaxInFlight < 0 {
		return nil, fmt.Errorf("cniserver: timeout %s, address timeout %s and max in flight %d must not be negative",
			cfg.Timeout, cfg.AddressTimeout, cfg.MaxInFlight)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.AddressTimeout == 0 {
		cfg.AddressTimeout = min(defaultAddressTimeout, cfg.Timeout)
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultMaxInFlight
	}
	if cfg.AllowedUIDs == nil {
		cfg.AllowedUIDs = []uint32{0, uint32(os.Geteuid())} //nolint:gosec // a uid fits
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	m, err := NewMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("cniserver: register metrics: %w", err)
	}
	return &Server{cfg: cfg, metrics: m, adds: make(chan struct{}, cfg.MaxInFlight), others: make(chan struct{}, cfg.MaxInFlight)}, nil
}

// Run serves until ctx ends. That cancels running operations: an ADD then undoes its changes.
func (s *Server) Run(ctx context.Context) error {
	l, err := listen(ctx, s.cfg.Socket, s.cfg.AllowedUIDs, s.cfg.Log)
	if err != nil {
		return fmt.Errorf("serve CNI: %w", err)
	}
	server := &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      s.cfg.Timeout + readTimeout + responseMargin,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}
	s.cfg.Log.Info("serving CNI", "socket", s.cfg.Socket)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve CNI: %w", err)
	case <-ctx.Done():
	}
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(shutdown); err != nil {
		return fmt.Errorf("shut the CNI server down: %w", errors.Join(err, server.Close()))
	}
	return nil
}
