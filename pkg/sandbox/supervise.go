// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
)

const (
	probeInterval  = 50 * time.Millisecond
	gateInterval   = 50 * time.Millisecond
	hookRetry      = 200 * time.Millisecond
	restartDelay   = 200 * time.Millisecond // before a service that exited is restarted; doubles up to restartMax
	restartMax     = 3 * time.Second
	restartForgive = 10 * time.Second // a service that ran this long is restarted after restartDelay
)

// supervisor keeps the services of one capsule running.
type supervisor struct {
	spec   CapsuleSpec
	reaper *reaper
	log    logr.Logger
	now    func() time.Time
	first  map[string]chan struct{} // closed when a service has become ready for the first time

	mu     sync.Mutex
	status CapsuleStatus
}

// RunCapsule is the second stage of a capsule's pid 1: it prepares the file system, then runs the services until ctx
// ends.
func RunCapsule(ctx context.Context, specFile string, log logr.Logger, now func() time.Time) error {
	spec, err := readSpec(specFile)
	if err != nil {
		return err
	}
	if err := prepareCapsule(spec); err != nil {
		return err
	}
	if err := os.Setenv("PATH", spec.Path); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	return supervise(ctx, spec, log, now)
}

// supervise runs the services until ctx ends.
func supervise(ctx context.Context, spec CapsuleSpec, log logr.Logger, now func() time.Time) error {
	s := &supervisor{
		spec: spec, reaper: newReaper(), log: log, now: now,
		first: map[string]chan struct{}{}, status: CapsuleStatus{Services: map[string]ServiceStatus{}},
	}
	for _, service := range spec.Services {
		s.first[service.Name] = make(chan struct{})
	}
	go s.reaper.run(ctx)
	var running sync.WaitGroup
	for _, service := range spec.Services {
		running.Go(func() { s.keep(ctx, service) })
	}
	running.Wait()
	<-ctx.Done()
	return nil
}

// keep restarts a service whenever it exits. Each start waits for its gate and its predecessors.
func (s *supervisor) keep(ctx context.Context, service Service) {
	if !s.mayStart(ctx, service) {
		return
	}
	delay := restartDelay
	for starts := 1; ctx.Err() == nil; starts++ {
		began := s.now()
		note := s.once(ctx, service, starts)
		s.update(service.Name, ServiceStatus{Starts: starts, Note: note})
		s.log.Info("service exited", "service", service.Name, "starts", starts, "reason", note)
		if s.now().Sub(began) > restartForgive {
			delay = restartDelay
		}
		if !pause(ctx, delay) {
			return
		}
		delay = min(2*delay, restartMax)
	}
}

func (s *supervisor) mayStart(ctx context.Context, service Service) bool {
	for _, name := range service.After {
		ready, known := s.first[name]
		if !known {
			s.update(service.Name, ServiceStatus{Note: fmt.Sprintf("waiting for %q, which is not a service", name)})
			return false
		}
		s.update(service.Name, ServiceStatus{Note: "waiting for " + name})
		select {
		case <-ready:
		case <-ctx.Done():
			return false
		}
	}
	if service.Gate == "" {
		return true
	}
	s.update(service.Name, ServiceStatus{Note: "waiting for gate " + filepath.Base(service.Gate)})
	return waitUntil(ctx, gateInterval, func() bool { _, err := os.Stat(service.Gate); return err == nil }) == nil
}

// once runs a service from its start to its exit and returns the reason of the exit.
func (s *supervisor) once(ctx context.Context, service Service, starts int) (why string) {
	out, err := os.OpenFile(filepath.Join(s.spec.LogDir, service.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = out.Close() }()
	if err := s.hooks(ctx, service.Before, starts, out, nil); err != nil {
		return err.Error()
	}
	pid, ended, err := s.reaper.start(s.command(service.Argv, service.Env, service.Chroot, out))
	if err != nil {
		return err.Error()
	}
	s.update(service.Name, ServiceStatus{PID: pid, Starts: starts, Note: "not ready yet"})
	over := make(chan struct{})
	var status syscall.WaitStatus
	go func() { status = <-ended; close(over) }()
	if s.becomeReady(ctx, service, starts, out, over) {
		s.update(service.Name, ServiceStatus{PID: pid, Starts: starts, Ready: true})
		if !s.wasReady(service.Name) {
			close(s.first[service.Name])
		}
	}
	select {
	case <-over:
		return describe(status)
	case <-ctx.Done():
		return "the capsule is stopping"
	}
}

func (s *supervisor) wasReady(name string) bool {
	select {
	case <-s.first[name]:
		return true
	default:
		return false
	}
}

// becomeReady waits for the service's probe and runs the hooks that follow. It returns false when the service exits
// first.
func (s *supervisor) becomeReady(ctx context.Context, service Service, starts int, out *os.File, over <-chan struct{}) bool {
	probe, err := newProbe(service.Ready)
	if err != nil {
		s.log.Error(err, "cannot probe", "service", service.Name)
		return false
	}
	ended := func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	}
	if err := waitUntil(ctx, probeInterval, func() bool { return ended() || probe(ctx) }); err != nil || ended() {
		return false
	}
	return s.hooks(ctx, service.Then, starts, out, ended) == nil
}

// hooks runs commands in sequence. A failing one is retried until it succeeds or stop returns true.
func (s *supervisor) hooks(ctx context.Context, hooks []Hook, starts int, out *os.File, stop func() bool) error {
	for _, hook := range hooks {
		if hook.Once && starts > 1 {
			continue
		}
		if hook.Unless != "" {
			if _, err := os.Stat(hook.Unless); err == nil {
				continue
			}
		}
		for {
			err := s.runHook(ctx, hook, out)
			if err == nil {
				break
			}
			_, _ = fmt.Fprintf(out, "%s: %v\n", strings.Join(hook.Argv, " "), err)
			if stop == nil || stop() || !pause(ctx, hookRetry) {
				return err
			}
		}
	}
	return nil
}

func (s *supervisor) runHook(ctx context.Context, hook Hook, out *os.File) error {
	_, ended, err := s.reaper.start(s.command(hook.Argv, nil, hook.Chroot, out))
	if err != nil {
		return err
	}
	select {
	case status := <-ended:
		if status.Exited() && status.ExitStatus() == 0 {
			return nil
		}
		return errors.New(describe(status))
	case <-ctx.Done():
		return wrap(context.Cause(ctx), "run %s", hook.Argv[0])
	}
}

func (s *supervisor) command(argv, env []string, chroot bool, out *os.File) *exec.Cmd {
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Stdout: out, Stderr: out, Env: append(os.Environ(), env...)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if chroot {
		cmd.SysProcAttr.Chroot, cmd.Dir = s.spec.Root, "/"
		cmd.Path = lookIn(s.spec.Root, argv[0])
	} else if path, err := exec.LookPath(argv[0]); err == nil {
		cmd.Path = path
	}
	return cmd
}

// lookIn searches the standard directories of a root for a program and returns its path inside that root.
func lookIn(root, name string) string {
	for _, dir := range []string{"/usr/bin", "/usr/sbin"} {
		if _, err := resolveIn(root, filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	return name
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "killed by " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// update records the state of a service and publishes it in the status file.
func (s *supervisor) update(name string, status ServiceStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status.Starts == 0 {
		status.Starts = s.status.Services[name].Starts
	}
	s.status.Services[name] = status
	raw, err := json.Marshal(s.status)
	if err == nil {
		err = writeAtomically(s.spec.Status, raw)
	}
	if err != nil {
		s.log.Error(err, "cannot write the status of the capsule")
	}
}

// pause waits for d. It returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// newProbe returns a function that checks once whether a service is ready.
func newProbe(p Probe) (func(context.Context) bool, error) {
	switch {
	case p.Unix != "":
		return func(ctx context.Context) bool {
			conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", p.Unix)
			if err != nil {
				return false
			}
			return conn.Close() == nil
		}, nil
	case p.URL != "":
		client, err := probeClient(p.CA)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) bool { return answers(ctx, client, p.URL) }, nil
	default:
		return func(context.Context) bool { return true }, nil
	}
}

func probeClient(caFile string) (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	if caFile != "" {
		raw, err := os.ReadFile(caFile) // #nosec G304 -- named by the spec
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the CA of a probe: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("no certificate in %s", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: 2 * time.Second}, nil
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
