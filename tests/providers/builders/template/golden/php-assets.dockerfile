# PHP 8.3 (Apache, Composer) · public
# Written by Orca. `orc init --eject` puts it into the repository, where it can be changed.

FROM composer:2 AS vendor
WORKDIR /app
COPY . .
RUN composer install --no-dev --no-scripts --no-interaction --ignore-platform-reqs

FROM node:24-slim AS assets
WORKDIR /app
COPY --from=vendor /app/ ./
RUN --mount=type=cache,target=/root/.npm \
    npm ci
RUN npm run build

FROM php:8.3-apache
ENV PORT=8080 APACHE_DOCUMENT_ROOT="/var/www/html/public"
RUN apt-get update && apt-get install --yes --no-install-recommends libicu-dev \
 && rm -rf /var/lib/apt/lists/*
RUN sed -ri 's/^Listen 80$/Listen ${PORT}/' /etc/apache2/ports.conf \
 && sed -ri 's/:80>/:${PORT}>/' /etc/apache2/sites-available/*.conf \
 && sed -ri 's#/var/www/html#${APACHE_DOCUMENT_ROOT}#' /etc/apache2/sites-available/*.conf \
 && a2enmod rewrite \
 && docker-php-ext-install pdo_mysql opcache intl \
 && mv "$PHP_INI_DIR/php.ini-production" "$PHP_INI_DIR/php.ini" \
 && chown www-data:www-data /var/www/html
RUN pecl install redis \
 && docker-php-ext-enable redis
WORKDIR /var/www/html
RUN apt-get update && apt-get install --yes --no-install-recommends git unzip \
 && rm -rf /var/lib/apt/lists/*
COPY --from=composer:2 /usr/bin/composer /usr/bin/composer
COPY ["composer.json", "./"]
RUN --mount=type=cache,target=/root/.composer/cache \
    composer install --no-dev --no-scripts --no-autoloader --no-interaction
COPY --chown=www-data:www-data . .
COPY --from=assets --chown=www-data:www-data /app/public/ ./public/
RUN composer dump-autoload --optimize --no-dev --no-scripts
USER www-data
EXPOSE 8080
ENTRYPOINT []
CMD ["apache2-foreground"]
# ---
# kind php, web, port 8080, because of composer.json, public/index.php
