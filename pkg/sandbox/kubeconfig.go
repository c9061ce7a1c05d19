// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"net"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const apiPort = "6443"

// apiServer is the API server's URL inside the sandbox.
func apiServer() string { return "https://" + net.JoinHostPort(ControlAddr().String(), apiPort) }

// kubeconfig is a client configuration with embedded credentials.
func kubeconfig(user string, ca []byte, pair keyPair) ([]byte, error) {
	const context = "woven-sandbox"
	config := clientcmdapi.NewConfig()
	config.Clusters[context] = &clientcmdapi.Cluster{Server: apiServer(), CertificateAuthorityData: ca}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.cert, ClientKeyData: pair.key}
	config.Contexts[context] = &clientcmdapi.Context{Cluster: context, AuthInfo: user}
	config.CurrentContext = context
	raw, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode the kubeconfig of %s: %w", user, err)
	}
	return raw, nil
}
