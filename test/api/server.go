// SPDX-License-Identifier: Apache-2.0

// Package api runs a real etcd and a real kube-apiserver for tests, without kubelets: pods stay as they are created.
//
// The programs are those of the sandbox, from its cache. $WOVEN_API_PROGRAMS can name another directory with both.
package api

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/wovensdn/woven/pkg/sandbox"
)

// The users of the API server: Admin may do everything; Controller and CNIServer are bound in
// config/rbac/controller.yaml and config/rbac/cniserver.yaml.
const (
	Admin      = "admin"
	Controller = "woven-controller"
	CNIServer  = "woven:cniserver:n1"
	Tenant     = "tenant" // has no rights until a test binds them
)

const startTime = 2 * time.Minute // on a busy machine

// Server is an API server with its own etcd. It runs until the test ends.
type Server struct {
	t         testing.TB
	dir       string
	apiserver string
	etcdURL   string
	port      int
	process   *Process
}

// Start runs an API server without any CustomResourceDefinition.
func Start(t testing.TB) *Server {
	t.Helper()
	etcd, apiserver := programs(t)
	s := &Server{t: t, dir: t.TempDir(), apiserver: apiserver, port: freePort(t)}
	s.etcdURL = "http://127.0.0.1:" + strconv.Itoa(freePort(t))
	peers := "http://127.0.0.1:" + strconv.Itoa(freePort(t))
	s.writeFiles()
	Run(t, filepath.Join(s.dir, "etcd.log"), etcd, "--data-dir="+filepath.Join(s.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+s.etcdURL, "--advertise-client-urls="+s.etcdURL,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)
	s.Resume()
	return s
}

// Resume restarts the API server after [Server.Stop].
func (s *Server) Resume() {
	s.t.Helper()
	key := filepath.Join(s.dir, "sa.key")
	s.process = Run(s.t, filepath.Join(s.dir, "apiserver.log"), s.apiserver,
		"--etcd-servers="+s.etcdURL, "--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(s.port),
		"--cert-dir="+filepath.Join(s.dir, "certs"), "--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key, "--service-account-signing-key-file="+key,
		"--token-auth-file="+filepath.Join(s.dir, "tokens.csv"), "--authorization-mode=RBAC",
		// No controller here creates ServiceAccounts or removes the taints of new nodes.
		"--disable-admission-plugins=ServiceAccount,TaintNodesByCondition")
	client, err := kubernetes.NewForConfig(s.Config(Admin))
	if err != nil {
		s.t.Fatal(err)
	}
	Eventually(s.t, "the API server is ready", startTime, func(ctx context.Context) error {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// Stop stops the API server; etcd and all objects stay.
func (s *Server) Stop() {
	s.t.Helper()
	s.process.Kill()
}

// Config is a user's client configuration, without client-side rate limit.
func (s *Server) Config(user string) *rest.Config {
	return &rest.Config{
		Host: "https://127.0.0.1:" + strconv.Itoa(s.port), BearerToken: user + "-token", QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, // a self-signed certificate, on loopback
	}
}

// Kubeconfig writes [Server.Config] to a file and returns its path.
func (s *Server) Kubeconfig(user string) string {
	s.t.Helper()
	config := s.Config(user)
	file := filepath.Join(s.dir, user+".conf")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"test": {Server: config.Host, InsecureSkipTLSVerify: true}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"test": {Token: config.BearerToken}},
		Contexts:       map[string]*clientcmdapi.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}, file)
	if err != nil {
		s.t.Fatal(err)
	}
	return file
}

func (s *Server) writeFiles() {
	s.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	tokens := fmt.Sprintf("%[1]s-token,%[1]s,1,\"system:masters\"\n%[2]s-token,%[2]s,2,\n%[3]s-token,%[3]s,3,\"woven:cniservers\"\n%[4]s-token,%[4]s,4,\nowner-token,owner,5,\n",
		Admin, Controller, CNIServer, Tenant)
	if err := errors.Join(
		os.WriteFile(filepath.Join(s.dir, "sa.key"), block, 0o600),
		os.WriteFile(filepath.Join(s.dir, "tokens.csv"), []byte(tokens), 0o600),
	); err != nil {
		s.t.Fatal(err)
	}
}

func programs(t testing.TB) (etcd, apiserver string) {
	t.Helper()
	if dir := os.Getenv("WOVEN_API_PROGRAMS"); dir != "" {
		return filepath.Join(dir, "etcd"), filepath.Join(dir, "kube-apiserver")
	}
	home, err := sandbox.DefaultHome()
	if err != nil {
		t.Fatal(err)
	}
	source, err := sandbox.FindSource()
	if err != nil {
		t.Fatal(err)
	}
	made, err := sandbox.Build(t.Context(), home, source, sandbox.NewProgress(t.Output(), time.Now))
	if err != nil {
		t.Fatalf("build etcd and kube-apiserver: %v", err)
	}
	return filepath.Join(made.Etcd, "etcd"), filepath.Join(made.Kubernetes, "kube-apiserver")
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%v is not a TCP address", listener.Addr())
	}
	return address.Port
}

// Process is a program that runs until the test ends.
type Process struct {
	t    testing.TB
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

// Run starts a program whose output goes to a file. If the test fails, it logs the end of that file.
func Run(t testing.TB, log, program string, args ...string) *Process {
	t.Helper()
	out, err := os.OpenFile(filepath.Clean(log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{t: t, log: log, done: make(chan struct{})}
	// Not the test's context, which ends before the cleanups: these define in which order programs exit.
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program, args...) //nolint:gosec // programs of the test
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	go func() {
		_ = p.cmd.Wait()
		_ = out.Close()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(log), p.Tail())
		}
	})
	return p
}

// Signal sends the program a signal, such as SIGSTOP.
func (p *Process) Signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatalf("send %v to %s: %v", signal, p.cmd.Path, err)
	}
}

// Kill sends SIGKILL.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Terminate sends SIGTERM and waits until the program has exited.
func (p *Process) Terminate() { p.end(syscall.SIGTERM) }

func (p *Process) end(signal syscall.Signal) {
	p.t.Helper()
	if p.Ended() {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(startTime):
		_ = p.cmd.Process.Kill()
		<-p.done
		p.t.Errorf("%s did not exit after %v", p.cmd.Path, signal)
	}
}

// CPU is the CPU time of the program so far (proc_pid_stat(5), utime and stime).
func (p *Process) CPU() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // after the name, which may contain blanks
	fields := strings.Fields(rest)
	const utime, stime, perSecond = 11, 12, 100 // USER_HZ is 100 on every Linux port there is
	var ticks int64
	for _, i := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / perSecond
}

// Ended reports whether the program has exited.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Output is the output of the program so far.
func (p *Process) Output() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Tail is the end of the program's output.
func (p *Process) Tail() string {
	const most = 6000
	text := p.Output()
	return text[max(0, len(text)-most):]
}

// Eventually retries fn until it succeeds.
func Eventually(t testing.TB, what string, limit time.Duration, fn func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, limit, true, func(ctx context.Context) (bool, error) {
		now := fn(ctx)
		if now == nil || ctx.Err() == nil || last == nil { // an error from the end of the limit says nothing
			last = now
		}
		return now == nil, nil
	})
	if err != nil {
		t.Fatalf("waiting until %s: %v (last: %v)", what, err, last)
	}
}

// Build compiles a command of this repository with additional flags of go build, and returns the path of the program.
func Build(t testing.TB, command string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), filepath.Base(command))
	args := append([]string{"build", "-o", program}, append(flags, "github.com/wovensdn/woven/"+command)...)
	cmd := exec.CommandContext(t.Context(), "go", args...) //nolint:gosec // a command of this repository
	cmd.Stdout, cmd.Stderr = io.Discard, t.Output()
	if err := cmd.Run(); err != nil {
		t.Fatalf("build %s: %v", command, err)
	}
	return program
}
