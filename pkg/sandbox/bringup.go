// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	bringUpTimeout = 4 * time.Minute
	statusInterval = 100 * time.Millisecond
)

// RESTConfig is the administrator's client configuration. It dials the API server through the control plane's network
// namespace, so it works from anywhere on the machine. Its client-side rate limit is off.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	config.QPS = -1
	config.Dial = c.DialControl
	return config, nil
}

// DialControl dials from inside the control plane's network namespace; address is an IP address and a port.
func (c *Cluster) DialControl(ctx context.Context, network, address string) (net.Conn, error) {
	process, err := c.process(controlCapsule)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	err = inNetns(process, func() error {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address) // an IP address: no resolver, hence no other thread
		return wrap(err, "dial %s in the sandbox", address)
	})
	return conn, err
}

func (c *Cluster) client() (*kubernetes.Clientset, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create a client: %w", err)
	}
	return client, nil
}

// bringUp waits for the services of a started sandbox, applies the first objects and opens the gates.
func (c *Cluster) bringUp(ctx context.Context, progress *Progress) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bringUpTimeout, fmt.Errorf("not ready after %s", bringUpTimeout))
	defer cancel()
	type step struct {
		what string
		do   func(context.Context) error
		dev  bool
	}
	steps := []step{
		{"waiting for the API server", c.waitAPI, false},
		{"installing Woven's custom resources and roles", c.installWoven, true},
		{"waiting for OVN and the nodes' daemons", c.waitDaemons, false},
		{"waiting for the nodes to register", c.waitRegistered, false},
		{"waiting for the nodes to be Ready", c.waitReady, true},
	}
	if c.state.Plan.DNS {
		steps = append(steps, step{"starting the cluster's DNS", c.startDNS, true})
	}
	for _, step := range steps {
		if step.dev && !c.state.Plan.Dev {
			continue
		}
		done := progress.Step("%s", step.what)
		err := step.do(ctx)
		done(err)
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (c *Cluster) waitAPI(ctx context.Context) error {
	if err := c.waitService(ctx, svcAPI, 0); err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := bindKubeProxy(ctx, client); err != nil {
		return err
	}
	return c.openGate(gateAPI)
}

// bindKubeProxy grants the user system:kube-proxy the ClusterRole that the API server creates by itself.
func bindKubeProxy(ctx context.Context, client kubernetes.Interface) error {
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "woven-sandbox:kube-proxy"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node-proxier"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:kube-proxy"}},
	}
	_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("bind the role of kube-proxy: %w", err)
	}
	return nil
}

func (c *Cluster) openGate(gate string) error {
	if err := os.WriteFile(c.state.Plan.Paths.Gate(gate), nil, 0o600); err != nil {
		return fmt.Errorf("open gate %s: %w", gate, err)
	}
	return nil
}

// installWoven applies the CRDs and roles of the source tree, then opens the gate of Woven's programs.
func (c *Cluster) installWoven(ctx context.Context) error {
	files, err := wovenManifests(c.state.Plan.Source)
	if err != nil {
		return err
	}
	objects, err := readManifests(files)
	if err != nil {
		return err
	}
	if err := c.apply(ctx, objects); err != nil {
		return err
	}
	return c.openGate(gateWoven)
}

func (c *Cluster) waitDaemons(ctx context.Context) error {
	for _, service := range []string{svcKCM, svcScheduler, svcOVNNB, svcOVNSB, svcOVNNorthd} {
		if err := c.waitService(ctx, service, 0); err != nil {
			return err
		}
	}
	for n := 1; n <= c.Nodes(); n++ {
		for _, service := range []string{svcOVSDB, svcVSwitchd, svcOVNController, svcContainerd} {
			if err := c.waitService(ctx, service, n); err != nil {
				return err
			}
		}
	}
	// Every node's ovn-controller has registered its chassis in the southbound database over TLS.
	err := waitUntil(ctx, statusInterval, func() bool {
		names, err := c.SBCtl(ctx, "--bare", "--columns=name", "list", "Chassis")
		return err == nil && len(strings.Fields(names)) == c.Nodes()
	})
	if err != nil {
		return fmt.Errorf("wait for every node's chassis in the southbound database: %w", err)
	}
	return nil
}

// waitService waits until a service is ready. Its error includes the service's last status note.
func (c *Cluster) waitService(ctx context.Context, service string, node int) error {
	var last ServiceStatus
	err := waitUntil(ctx, probeInterval, func() bool {
		status, err := c.Status(node)
		if err == nil {
			last = status.Services[service]
		}
		return last.Ready
	})
	if err != nil {
		return fmt.Errorf("wait for %s of %s (%s; see %s): %w", service, capsuleOf(node), last.Note, c.LogFile(service, node), err)
	}
	return nil
}

func (c *Cluster) waitRegistered(ctx context.Context) error {
	return c.waitNodes(ctx, "registered", func(corev1.Node) bool { return true })
}

func (c *Cluster) waitReady(ctx context.Context) error {
	return c.waitNodes(ctx, "Ready", nodeReady)
}

func nodeReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// waitNodes waits until every node of the sandbox satisfies good.
func (c *Cluster) waitNodes(ctx context.Context, what string, good func(corev1.Node) bool) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	count := 0
	err = waitUntil(ctx, statusInterval, func() bool {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false
		}
		count = 0
		for _, node := range nodes.Items {
			if good(node) {
				count++
			}
		}
		return count == c.Nodes()
	})
	if err != nil {
		return fmt.Errorf("%d of %d nodes are %s: %w", count, c.Nodes(), what, err)
	}
	return nil
}
