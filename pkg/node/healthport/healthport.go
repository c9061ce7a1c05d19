// SPDX-License-Identifier: Apache-2.0

// Package healthport answers load balancers that ask whether a node has a backend of
// a Service with externalTrafficPolicy Local: each such Service has a port of its own
// (spec.healthCheckNodePort), and the answer is that of kube-proxy.
package healthport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Check is what one Service's port says.
type Check struct {
	Port uint16
	// Backends of the Service on this node that get new connections.
	Backends int
}

// timeout bounds how long a request may take, in both directions.
const timeout = 5 * time.Second

// Servers has one HTTP server for each Service that wants one. Its zero value has
// none and is ready.
type Servers struct {
	mu sync.Mutex
	of map[types.NamespacedName]*server
}

type server struct {
	service  types.NamespacedName
	port     uint16
	backends atomic.Int64
	http     *http.Server
}

// Set makes the servers those of want: it starts, stops and updates them. A port that is
// taken is an error that names the Service; the others are served.
func (s *Servers) Set(ctx context.Context, want map[types.NamespacedName]Check) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[types.NamespacedName]*server{}
	}
	for name, running := range s.of {
		if want[name].Port != running.port {
			_ = running.http.Close()
			delete(s.of, name)
		}
	}
	var errs []error
	for name, check := range want {
		if s.of[name] == nil {
			started, err := start(ctx, name, check.Port)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			s.of[name] = started
		}
		s.of[name].backends.Store(int64(check.Backends))
	}
	return errors.Join(errs...)
}

// Close stops all.
func (s *Servers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, running := range s.of {
		_ = running.http.Close()
	}
	s.of = nil
}

func start(ctx context.Context, service types.NamespacedName, port uint16) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+strconv.Itoa(int(port)))
	if err != nil {
		return nil, fmt.Errorf("serve spec.healthCheckNodePort of Service %s: %w", service, err)
	}
	s := &server{service: service, port: port}
	s.http = &http.Server{Handler: s, ReadTimeout: timeout, WriteTimeout: timeout, MaxHeaderBytes: 4096}
	go func() { _ = s.http.Serve(listener) }() // it ends with Close
	return s, nil
}

// verdict is the body of an answer, as kube-proxy writes it (pkg/proxy/healthcheck).
type verdict struct {
	Service struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"service"`
	LocalEndpoints      int64 `json:"localEndpoints"`
	ServiceProxyHealthy bool  `json:"serviceProxyHealthy"`
}

// ServeHTTP answers 200 if the node has a backend, else 503.
func (s *server) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	v := verdict{LocalEndpoints: s.backends.Load(), ServiceProxyHealthy: true}
	v.Service.Namespace, v.Service.Name = s.service.Namespace, s.service.Name
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.FormatInt(v.LocalEndpoints, 10))
	status := http.StatusOK
	if v.LocalEndpoints == 0 {
		status = http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
