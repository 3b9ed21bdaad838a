// "Graceful start" and "graceful stop" of PM2's documentation.
'use strict';

module.exports = {
  apps: [
    {
      name: 'torture',
      script: `${__dirname}/pm2-app.js`,
      instances: 2,
      exec_mode: 'cluster',
      wait_ready: true,
      listen_timeout: 10000,
      kill_timeout: 10000,
    },
  ],
};
